package config

import "cmp"

// Agents says how AI agents come in.
type Agents struct {
	Position
	// MCP has them served at /mcp of the API's listener.
	MCP bool `yaml:"mcp"`
	// Rows and Bytes bound what an agent is given of a result. Zero is a default.
	Rows  int `yaml:"rows"`
	Bytes int `yaml:"bytes"`
}

// Bounds of what an agent is given.
const (
	defaultAgentRows  = 200
	defaultAgentBytes = 64 << 10
	maxAgentRows      = 10_000
	maxAgentBytes     = 4 << 20
)

// Bounds returns how many rows, and bytes of values, an agent is given of a result.
func (a *Agents) Bounds() (rows, bytes int) {
	return cmp.Or(a.Rows, defaultAgentRows), cmp.Or(a.Bytes, defaultAgentBytes)
}

func (f *File) validateAgents(d *decoder) {
	a := f.Agents
	if a.MCP && f.API.Listen == "" && !d.broken["api"] {
		d.problem(a.Line, "add api: {listen: 0.0.0.0:8443, url: \"https://gw.example.com:8443\"}", "agents.mcp needs the API, at whose address it is served")
	}
	if rows, _ := a.Bounds(); rows < 1 || rows > maxAgentRows {
		d.problem(a.Line, "rows: 200", "agents.rows: got %d, want 1 to %d", rows, maxAgentRows)
	}
	if _, bytes := a.Bounds(); bytes < 1 || bytes > maxAgentBytes {
		d.problem(a.Line, "bytes: 65536", "agents.bytes: got %d, want 1 to %d", bytes, maxAgentBytes)
	}
}
