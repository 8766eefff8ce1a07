import{a as t}from"./chunk-YFH4SNIB.js";var o=e=>e.requester===t.value?.subject||!!e.for&&e.for===t.value?.subject;export{o as a};
