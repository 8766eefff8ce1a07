// Package mcp serves AI agents by the Model Context Protocol: a few tools, by which they see what they may reach,
// work with it and ask for more.
//
// Each call is made by a client of the gateway's own, through the handler of the resource's protocol and the whole
// chain: rules, guardrails, approvals, masking and the record are those of native clients, and nothing is decided
// here. What a tool returns is data of others, and says so; it is bounded, and values are masked before they come
// here, so that the text and the structured content of an answer hold the same.
//
// An agent is proven by a token of its own, see [tokens.Tokens.FindAgent], and by nothing else. A [Handler] keeps no
// state between requests: a call that waits for an approval is answered at once, and made again when it is decided.
package mcp
