package config

import "cmp"

// MCP says how AI agents come in, by the Model Context Protocol.
type MCP struct {
	Position
	// Enabled has them served at /mcp of the API's listener.
	Enabled bool `yaml:"enabled"`
	// Rows and Bytes bound what an agent is given of a result. Zero is a default.
	Rows  int `yaml:"rows"`
	Bytes int `yaml:"bytes"`
}

// Bounds of what an agent is given.
const (
	defaultMCPRows  = 200
	defaultMCPBytes = 64 << 10
	maxMCPRows      = 10_000
	maxMCPBytes     = 4 << 20
)

// Bounds returns how many rows, and bytes of values, an agent is given of a result.
func (m *MCP) Bounds() (rows, bytes int) {
	return cmp.Or(m.Rows, defaultMCPRows), cmp.Or(m.Bytes, defaultMCPBytes)
}

func (f *File) validateMCP(d *decoder) {
	m := f.MCP
	if m.Enabled && f.API.Listen == "" && !d.broken["api"] {
		d.problem(m.Line, "add api: {listen: 0.0.0.0:8443, url: \"https://gw.example.com:8443\"}", "mcp.enabled needs the API, at whose address it is served")
	}
	if rows, _ := m.Bounds(); rows < 1 || rows > maxMCPRows {
		d.problem(m.Line, "rows: 200", "mcp.rows: got %d, want 1 to %d", rows, maxMCPRows)
	}
	if _, bytes := m.Bounds(); bytes < 1 || bytes > maxMCPBytes {
		d.problem(m.Line, "bytes: 65536", "mcp.bytes: got %d, want 1 to %d", bytes, maxMCPBytes)
	}
}
