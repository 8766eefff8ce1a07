package audit

import (
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Action is something that somebody does to the gateway itself rather than
// through it.
type Action struct {
	Type    string          // AdminKill, AdminWatch …
	By      *proxy.Identity // nil when it is not known who
	Session string          // the session that it is about; may be empty
	Action  string          // what was refused, in AdminRefused
	Reason  string          // as given
	Remote  string
}

// Act records an action in the gateway's own record. It has been handed to the
// operating system when Act returns; on an error the action must not be done.
func (l *Log) Act(a Action) error {
	return l.own.event(time.Now(), a.Type, synced, a.append)
}

func (a *Action) append(b []byte) []byte {
	b = identity(b, a.By)
	b = str(b, "session", a.Session)
	b = str(b, "action", a.Action)
	b = str(b, "reason", a.Reason)
	return str(b, "remote", a.Remote)
}

// recordAdoption records on the disk that what is there becomes the log's history, and
// why that was asked for.
func (l *Log) recordAdoption(a *Action) error {
	err := l.own.stream.event(time.Now(), AdminAdopt, written, func(b []byte) []byte {
		return str(a.append(b), "error", l.adopted.Error())
	})
	if err != nil {
		return err
	}
	l.own.mu.Lock()
	defer l.own.mu.Unlock()
	return l.own.sync()
}

// Version says by what sessions are judged.
type Version struct {
	Config string // digest of the whole configuration
	Policy string // of its rules
}

// Configured records that a configuration has come into force: sessions that
// begin from now on name it.
func (l *Log) Configured(v Version) error {
	if err := l.own.event(time.Now(), GatewayConfig, synced, v.append); err != nil {
		return err
	}
	l.version.Store(&v)
	return nil
}

func (v *Version) append(b []byte) []byte { return str(str(b, "config", v.Config), "policy", v.Policy) }
