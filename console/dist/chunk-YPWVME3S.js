import{a as t}from"./chunk-4S3E5WFZ.js";var o=e=>e.requester===t.value?.subject||!!e.for&&e.for===t.value?.subject;export{o as a};
