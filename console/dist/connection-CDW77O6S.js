import{E as t,M as e,N as n}from"./chunk-MAIFV5GG.js";function o({name:i}){return n(i),t(e,{title:t("bdi",{children:i})})}export{o as default};
