import{a as t}from"./chunk-NH35WV4B.js";var o=e=>e.requester===t.value?.subject||!!e.for&&e.for===t.value?.subject;export{o as a};
