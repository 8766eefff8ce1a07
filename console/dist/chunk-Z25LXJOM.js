import{a as t}from"./chunk-2G5W2TGN.js";var o=e=>e.requester===t.value?.subject||!!e.for&&e.for===t.value?.subject;export{o as a};
