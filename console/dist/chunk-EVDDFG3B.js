import{j as t}from"./chunk-HE3SLAT7.js";var r=s=>location.origin.replace(/^http/,"ws")+t+s;export{r as a};
