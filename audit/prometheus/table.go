package prometheus

import (
	"slices"

	client "github.com/prometheus/client_golang/prometheus"
)

// Kind is that of a metric.
type Kind string

// Kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Metric is one that is shown, as docs/metrics.md lists it.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string

	desc *client.Desc
}

// List lists the gateway's own metrics. Besides them those of Go's runtime and of the process are shown.
func List() []Metric { return slices.Clone(all) }

var all []Metric

// metric adds one to the list.
func metric(name string, kind Kind, help string, labels ...string) *client.Desc {
	d := client.NewDesc(name, help, labels, nil)
	all = append(all, Metric{name, kind, labels, help, d})
	return d
}

var (
	buildInfo = metric("sallyport_build_info", Gauge, "1, with the version that was built.", "version", "goversion")

	sessionsTotal = metric("sallyport_sessions_total", Counter, "Sessions that were opened.", "protocol", "resource")
	sessionsOpen  = metric("sallyport_sessions_open", Gauge, "Sessions that are open.", "protocol", "resource")
	operations    = metric("sallyport_operations_total", Counter, "Operations that ended: allowed, denied, or failed at the resource or on the way there.", "protocol", "resource", "verdict")
	rowsTotal     = metric("sallyport_rows_total", Counter, "Rows that were returned or changed.", "protocol", "resource")
	bytesTotal    = metric("sallyport_bytes_total", Counter, "Bytes of operations, from the client (in) and to it (out).", "protocol", "resource", "direction")
	duration      = metric("sallyport_operation_duration_seconds", Histogram, "How long operations took, with the resource's own time.", "protocol", "resource")
	judging       = metric("sallyport_decision_duration_seconds", Histogram, "How long operations that ran had to wait for the gateway's decision, without the approval of people.", "protocol", "resource")
	maskedTotal   = metric("sallyport_masked_values_total", Counter, "Values that were masked, by type.", "type")
	eventsTotal   = metric("sallyport_gateway_events_total", Counter, "What happened outside of sessions, by kind: logins, failed ones, refused sessions, failed connections.", "kind")

	requestsWaiting = metric("sallyport_requests_waiting", Gauge, "Requests for access and held operations that wait for a decision.")
	requestsOldest  = metric("sallyport_requests_oldest_seconds", Gauge, "For how long the first of them has waited.")

	credentialsTotal = metric("sallyport_credentials_total", Counter, "What became of credentials of resources: resolve, renew, revoke, lost; and whether that went well.", "action", "result")
	leasesHeld       = metric("sallyport_credential_leases", Gauge, "Leases of credentials that are held.")
	certificateEnds  = metric("sallyport_certificate_expiry_timestamp_seconds", Gauge, "Until when the certificate is valid that clients see.")

	storeUp      = metric("sallyport_store_up", Gauge, "Whether the store answers.")
	storeLatency = metric("sallyport_store_latency_seconds", Gauge, "How long the store took to answer a question just now.")

	auditFailing = metric("sallyport_audit_failing", Gauge, "Whether records cannot be written, so that sessions end.")

	exportEvents   = metric("sallyport_export_events_total", Counter, "Events that a sink took.", "sink")
	exportFailures = metric("sallyport_export_failures_total", Counter, "Deliveries that a sink did not take.", "sink")
	exportLeftOut  = metric("sallyport_export_left_out_total", Counter, "Events that a sink misses for good.", "sink")
	exportWaiting  = metric("sallyport_export_waiting_sessions", Gauge, "Sessions with events that wait for a sink.", "sink")
	exportLag      = metric("sallyport_export_lag_seconds", Gauge, "Since when events wait for a sink.", "sink")

	copyBehind   = metric("sallyport_copy_behind_sessions", Gauge, "Sealed sessions that a copy or witness does not have.", "name")
	copyFailures = metric("sallyport_copy_failures_total", Counter, "Failed attempts to reach a copy or witness.", "name")
	copyLeftOut  = metric("sallyport_copy_left_out_total", Counter, "Records that are not copied because they are not as they were sealed.", "name")
	copyConflict = metric("sallyport_copy_conflict", Gauge, "Whether a copy or witness holds other data than the log.", "name")
	copyLag      = metric("sallyport_copy_lag_seconds", Gauge, "Since when a copy or witness has lacked sealed sessions.", "name")

	noticesDelivered = metric("sallyport_notices_delivered_total", Counter, "Notices of requests that a channel took.", "channel")
	noticesFailures  = metric("sallyport_notices_failures_total", Counter, "Attempts to tell a channel that failed.", "channel")
	noticesWaiting   = metric("sallyport_notices_waiting", Gauge, "Notices that wait for a channel.", "channel")
	noticesDead      = metric("sallyport_notices_dead", Gauge, "Notices that were given up, and can be sent again.", "channel")
	noticesFailing   = metric("sallyport_notices_failing", Gauge, "Whether a channel cannot be told.", "channel")
	noticesLag       = metric("sallyport_notices_lag_seconds", Gauge, "Since when notices wait for a channel.", "channel")
)
