import{j as t}from"./chunk-QYW5UU7M.js";var r=s=>location.origin.replace(/^http/,"ws")+t+s;export{r as a};
