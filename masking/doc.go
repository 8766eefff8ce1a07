// Package masking finds sensitive values in what flows to a client and masks
// them: in result rows, in bulk copies, in errors and notices, in byte streams.
//
// A [Scanner] goes over bytes once and reports [Finding] values. A [Masker] is
// the proxy.Interceptor that uses it: with the zero [Config] every resource's
// results are scanned, and columns whose names say what they hold are masked
// whole. docs/masking.md says what it does not see.
package masking
