package audit

import "time"

// Types of events, as their "type" says. They are stable.
const (
	SessionStart      = "session.start"      // who, from where, to what
	SessionEnd        = "session.end"        // cause, unless it was an ordinary end
	SessionRecovered  = "session.recovered"  // the gateway stopped before the session ended; what followed is not known
	SessionRevised    = "session.revised"    // the configuration has changed: policy names the rules that judge from here on
	OperationStart    = "operation.start"    // written before the operation goes to the resource
	OperationEnd      = "operation.end"      // how it ended
	OperationRefused  = "operation.refused"  // what was refused, by which interceptor and why
	OperationObserved = "operation.observed" // a rule that only observes would have refused it
	SessionUnmasked   = "session.unmasked"   // a rule's exception lets it see what others do not
	Degraded          = "record.degraded"    // events are late or missing here, because they could not be written

	// What flowed, after masking. See Recording.
	RecordingStart    = "recording.start"    // of a stream or result: its name, a terminal's size, a result's columns
	RecordingOutput   = "recording.output"   // what a terminal showed or a command wrote
	RecordingInput    = "recording.input"    // a line that was typed and echoed
	RecordingResize   = "recording.resize"   // a terminal's new size
	RecordingRows     = "recording.rows"     // rows of a result
	RecordingOriginal = "recording.original" // what flowed before masking, sealed to a key of somebody's
	RecordingEnd      = "recording.end"      // how much it was; the digest of what is not kept

	GatewayStart = "gateway.start"
	GatewayStop  = "gateway.stop"
	// GatewayRotate says that the gateway's own record goes on in another one, or from
	// another one, which name tells.
	GatewayRotate = "gateway.rotate"
	// GatewayConfig says by which configuration sessions are judged from here on.
	GatewayConfig = "gateway.config"
	// GatewayPrefix begins the types of the gateway's own events; the rest is the
	// name of the proxy.EventKind: gateway.login, gateway.login-failed …
	GatewayPrefix = "gateway."

	// How those who are served the log's events are doing, in the gateway's own record.
	ExportLagging = "export.lagging"  // a sink takes no events; they wait in the log
	ExportResumed = "export.resumed"  // it takes them again
	ExportLeftOut = "export.left-out" // an event that a sink cannot take, or that cannot be read; a record that is not as it was sealed
	// ExportConflict says that a copy or a witness holds something else than the
	// log: one of the two was set back or replaced.
	ExportConflict = "export.conflict"

	// What happened to the gateway's credentials, in its own record.
	SecretResolve = "secret.resolve" // one was asked for
	SecretRenew   = "secret.renew"   // its lease was to be renewed
	SecretRevoke  = "secret.revoke"  // its lease was to be revoked
	SecretLost    = "secret.lost"    // its lease ended while it was used

	// What happened to agents that dial out, in its own record. What agents were refused is
	// gateway.login-failed, with the protocol tunnel.
	TunnelEnrolled  = "tunnel.enrolled"  // one has its first certificate, by a token that user has made
	TunnelRenewed   = "tunnel.renewed"   // and another one
	TunnelRevoked   = "tunnel.revoked"   // its certificates do not count any more; user has revoked it
	TunnelConnected = "tunnel.connected" // it is connected to this gateway
	TunnelLost      = "tunnel.lost"      // its control line has ended; error says why

	// What became of the keys by which resources are known that are trusted when they are first
	// reached, in its own record.
	HostTrusted   = "host.trusted"   // the key whose fingerprint is hash counts from here on, for reason
	HostForgotten = "host.forgotten" // this gateway does not know the resource by it any more: user has had it forgotten
	HostRefused   = "host.refused"   // what is known of the resource contradicts itself: error says how

	// RecordExpired says that a session's content was erased by a rule of retention.
	RecordExpired = "record.expired"

	// What people do to the gateway rather than through it, in its own record.
	AdminList       = "admin.list"       // looked at the open sessions, or at one
	AdminKill       = "admin.kill"       // ended a session
	AdminMessage    = "admin.message"    // wrote to the user of a session what reason says
	AdminFreeze     = "admin.freeze"     // froze a session
	AdminThaw       = "admin.unfreeze"   // let it go on
	AdminWatch      = "admin.watch"      // watched a session
	AdminRead       = "admin.read"       // looked at what is on record: of a session, or what fits what reason says
	AdminExport     = "admin.export"     // had evidence or the rows of a session exported, as reason says; action is begin, or finish with the digest of what was exported
	AdminErase      = "admin.erase"      // destroyed a session's key, and with it its content
	AdminHold       = "admin.hold"       // kept a session from being erased
	AdminRelease    = "admin.release"    // let it be erased again
	AdminDetokenise = "admin.detokenise" // had a masked value turned back, or was refused that
	AdminAdopt      = "admin.adopt"      // took what is there as the log's history, although it is not what was signed
	AdminRefused    = "admin.refused"    // was not permitted to do what action names

	AdminAsk      = "admin.ask"      // what was refused, in AdminRefused: asking for access
	AdminRequests = "admin.requests" // looked at what is held
	AdminUndo     = "admin.undo"     // had an operation undone, or was refused that
	AdminDecide   = "admin.decide"   // what was refused, in AdminRefused: deciding about a held operation

	// What people are given to come in by, and who may come in.
	AdminLogin      = "admin.login"      // what was refused, in AdminRefused: logging in
	AdminLogout     = "admin.logout"     // ended a login, with what it was given
	AdminLink       = "admin.link"       // answered at a login link, as action says: confirm or refuse
	AdminCredential = "admin.credential" // was given certificates
	AdminToken      = "admin.token"      // made or revoked an access token
	AdminFactor     = "admin.factor"     // changed how somebody proves herself, or proved herself again, as action says
	AdminUsers      = "admin.users"      // looked at who there is
	AdminUser       = "admin.user"       // changed what somebody may do, as action says

	AdminRun = "admin.run" // began a run of a runbook, or cancelled one, as action says

	AdminOffline = "admin.offline-grant" // made an offline grant, or began to use one, as action says

	AdminConfiguration = "admin.configuration" // looked at the objects of the configuration, or their revisions
	AdminConfigure     = "admin.configure"     // changed objects of the store, as action says, or decided about a change

	// ReviewPrefix begins the types of what becomes of held operations, in the
	// gateway's own record; the rest is the state: review.pending, review.approved …
	ReviewPrefix = "review."
)

// Event is one event, read back. Fields that do not apply are zero.
type Event struct {
	Index uint64 `json:"i"`
	Time  string `json:"t"` // RFC 3339, UTC, microseconds
	Type  string `json:"type"`

	// The session, in session.start.
	Session  string            `json:"session,omitempty"`
	User     string            `json:"user,omitempty"`
	Groups   []string          `json:"groups,omitempty"`
	Identity string            `json:"identity,omitempty"` // service or agent; empty is a human
	Method   string            `json:"method,omitempty"`
	Methods  string            `json:"methods,omitempty"` // of the login, as the claim amr has them: "pwd otp mfa"
	For      string            `json:"for,omitempty"`     // the human that an agent acts for
	Resource string            `json:"resource,omitempty"`
	Account  string            `json:"account,omitempty"`
	Database string            `json:"database,omitempty"`
	Protocol string            `json:"protocol,omitempty"`
	Remote   string            `json:"remote,omitempty"`
	Via      string            `json:"via,omitempty"` // how the client came, such as "console"; empty is by a listener
	Deadline string            `json:"deadline,omitempty"`
	Config   string            `json:"config,omitempty"` // the digest of the configuration; in gateway.config too
	Policy   string            `json:"policy,omitempty"` // the version of its rules
	Params   map[string]string `json:"params,omitempty"`
	// What of the session's data is recorded: "off", "digest", "sample" or "full", by
	// "terminal", "exec", "rows" and "copy".
	Recording map[string]string `json:"recording,omitempty"`

	// An operation.
	Op          uint64    `json:"op,omitempty"`
	Parent      uint64    `json:"parent,omitempty"`
	Kind        string    `json:"kind,omitempty"`
	Text        string    `json:"text,omitempty"`
	TextBytes   int       `json:"text_bytes,omitempty"`  // the text's length, where it was shortened
	TextDigest  string    `json:"text_digest,omitempty"` // SHA-256 of the whole text, where it was shortened
	Withheld    string    `json:"withheld,omitempty"`    // why the text's literals are not recorded
	Name        string    `json:"name,omitempty"`
	Target      string    `json:"target,omitempty"`
	Args        []*string `json:"args,omitempty"` // null is NULL; "…" is not recorded
	Effects     string    `json:"effects,omitempty"`
	Unknown     string    `json:"unknown,omitempty"`
	Relations   string    `json:"relations,omitempty"`
	Functions   string    `json:"functions,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	Rewritten   bool      `json:"rewritten,omitempty"`
	Terminal    bool      `json:"terminal,omitempty"`
	Listen      bool      `json:"listen,omitempty"`
	Port        uint16    `json:"port,omitempty"`
	Opaque      bool      `json:"opaque,omitempty"` // nobody sees what flows over the connection: it is neither masked nor judged nor recorded
	Query       string    `json:"query,omitempty"`
	Action      string    `json:"action,omitempty"`

	// What was held, and who decided.
	Request   string `json:"request,omitempty"`
	Hash      string `json:"hash,omitempty"` // of what was decided about; the fingerprint of a host's key
	DecidedBy string `json:"decided_by,omitempty"`
	Channel   string `json:"channel,omitempty"`
	Mark      string `json:"mark,omitempty"`   // of the transition, which the request keeps when it was made
	Signed    string `json:"signed,omitempty"` // the grant, in review.approved
	// By what an operation runs, in operation.start.
	Approved []Approved `json:"approved,omitempty"`
	// Approvals are how many operations ran by approvals, in session.end.
	Approvals uint64 `json:"approvals,omitempty"`

	// Its answer and outcome.
	Verdict  string `json:"verdict,omitempty"`
	By       string `json:"by,omitempty"`
	Cause    string `json:"cause,omitempty"`
	Rule     string `json:"rule,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Grant    string `json:"grant,omitempty"`
	Warn     string `json:"warn,omitempty"`
	Code     string `json:"code,omitempty"`
	Error    string `json:"error,omitempty"`
	Tag      string `json:"tag,omitempty"`
	Rows     uint64 `json:"rows,omitempty"`
	BytesIn  uint64 `json:"in,omitempty"`
	BytesOut uint64 `json:"out,omitempty"`
	Micros   int64  `json:"us,omitempty"`

	Masked map[string]uint64 `json:"masked,omitempty"` // values by type

	// A recording.
	Stream  string      `json:"stream,omitempty"` // "terminal", "stdout", "stderr", "stdin", "rows" or "copy"
	Data    string      `json:"data,omitempty"`   // text
	Base64  []byte      `json:"base64,omitempty"` // what follows it and is not text
	Width   int         `json:"width,omitempty"`
	Height  int         `json:"height,omitempty"`
	Term    string      `json:"term,omitempty"`
	Columns []string    `json:"columns,omitempty"`
	Values  [][]*string `json:"values,omitempty"` // of rows; null is NULL, "…" is not recorded
	Bytes   uint64      `json:"bytes,omitempty"`
	SHA256  string      `json:"sha256,omitempty"` // of what is not kept of a stream; of all rows
	Cut     bool        `json:"cut,omitempty"`    // more came than is kept

	// A credential of the gateway's.
	Ref     string `json:"ref,omitempty"`
	Version string `json:"version,omitempty"`
	Lease   string `json:"lease,omitempty"`
	Cached  bool   `json:"cached,omitempty"` // it came from memory

	// Count is how many failed logins or connections of one address the event sums up, in
	// the gateway's own record; 0 is one.
	Count uint64 `json:"count,omitempty"`

	Lost uint64 `json:"lost,omitempty"` // events that could not be written, in record.degraded
}

// Approved is an approval by which an operation runs, and what it runs as. Without a Grant nobody knows of such an approval.
type Approved struct {
	Request string `json:"request"`
	Grant   string `json:"grant,omitempty"` // signed
	At      string `json:"at,omitempty"`    // when it was used, by the clock of its times
	// Digests of what runs, as proxy.Digests makes them. The salt is not there where the event withholds something of it.
	Text      string `json:"text,omitempty"`
	Arguments string `json:"arguments,omitempty"`
	Salt      string `json:"salt,omitempty"`
}

// Content is what a recording.output or recording.input holds.
func (e *Event) Content() []byte { return append([]byte(e.Data), e.Base64...) }

// When is the event's time, the zero time when it has none.
func (e *Event) When() time.Time {
	t, err := time.Parse(time.RFC3339Nano, e.Time)
	if err != nil {
		return time.Time{}
	}
	return t
}
