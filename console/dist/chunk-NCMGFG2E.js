import{a as t}from"./chunk-AATVWXKW.js";var o=e=>e.requester===t.value?.subject||!!e.for&&e.for===t.value?.subject;export{o as a};
