import{j as t}from"./chunk-OVOGLUUW.js";var r=s=>location.origin.replace(/^http/,"ws")+t+s;export{r as a};
