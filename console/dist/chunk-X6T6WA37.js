import{a as t}from"./chunk-D5RYM4Z5.js";var o=e=>e.requester===t.value?.subject||!!e.for&&e.for===t.value?.subject;export{o as a};
