import{a as t}from"./chunk-ZCEDYHF3.js";var o=e=>e.requester===t.value?.subject||!!e.for&&e.for===t.value?.subject;export{o as a};
