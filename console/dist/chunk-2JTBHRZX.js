import{a as t}from"./chunk-LNPZR2M2.js";var o=e=>e.requester===t.value?.subject||!!e.for&&e.for===t.value?.subject;export{o as a};
