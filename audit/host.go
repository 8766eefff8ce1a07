package audit

import "time"

// HostEvent is something that became of the key by which a resource is known since it was first reached.
type HostEvent struct {
	Type     string // HostTrusted …
	Resource string
	Key      string // the key's fingerprint; of what was refused, that of the key that this gateway knows, if it knows any
	By       string // who has had it forgotten
	Reason   string // why it is trusted; as given, of what was forgotten
	Err      error  // why it was refused
}

// Host records what became of the key of a resource, in the gateway's own record. On an error it must not count.
func (l *Log) Host(e HostEvent) error {
	return l.own.event(time.Now(), e.Type, synced, func(b []byte) []byte {
		b = str(b, "user", e.By)
		b = str(b, "resource", e.Resource)
		b = str(b, "hash", e.Key)
		b = str(b, "reason", e.Reason)
		if e.Err != nil {
			b = str(b, "error", e.Err.Error())
		}
		return b
	})
}
