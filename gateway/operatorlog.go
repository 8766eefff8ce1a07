package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// operatorLog tells operators what sessions ended by, and what logins failed. It counts
// for the gateway's last line. Nothing in it is a secret: errors of the core and of
// handlers name none.
type operatorLog struct {
	log    *slog.Logger
	opened atomic.Uint64
	denied atomic.Uint64
	logins atomic.Uint64 // that failed

	mu     sync.Mutex
	minute time.Time
	said   map[string]int
}

// saidAMinute is how many times one thing is logged in a minute, and saidTexts how many
// things are told apart: a client that tries again and again fills no disk.
const (
	saidAMinute = 5
	saidTexts   = 1024
)

func (l *operatorLog) event(e proxy.Event) {
	switch e.Kind {
	case proxy.EventSessionStart:
		l.opened.Add(1)
	case proxy.EventLoginFailed:
		l.logins.Add(max(1, e.Count))
		// The core bounds how often it is told.
		l.log.Warn("a login has failed", l.about(&e)...)
	case proxy.EventOverload:
		l.log.Warn("a connection was closed: too many of its address are open, or too many wait without a login", l.about(&e)...)
	case proxy.EventConnFailed:
		l.log.Info("a connection failed before it had a session", l.about(&e)...)
	case proxy.EventSessionRefused:
		l.denied.Add(1)
		l.say(slog.LevelInfo, "a session was refused", &e)
	case proxy.EventSessionEnd:
		if e.Err == nil {
			return
		}
		level := slog.LevelWarn
		if ordered(e.Err) {
			level = slog.LevelInfo
		}
		l.say(level, "a session ended with an error", &e)
	}
}

// ordered reports whether somebody or some limit ended a session, rather than a failure.
func ordered(err error) bool {
	for _, e := range []error{proxy.ErrShutdown, proxy.ErrDeadline, proxy.ErrIdle, proxy.ErrTooMany, context.Canceled} {
		if errors.Is(err, e) {
			return true
		}
	}
	var refused *proxy.RefusedError
	return errors.As(err, &refused)
}

// say logs e, unless the same was logged often enough in this minute.
func (l *operatorLog) say(level slog.Level, message string, e *proxy.Event) {
	resource, user := "", e.User
	if e.Target.Resource != nil {
		resource = e.Target.Resource.Name
	}
	if e.Identity != nil {
		user = e.Identity.Subject
	}
	key := strings.Join([]string{message, resource, user, reason(e.Err)}, "\x00")
	now := time.Now()
	l.mu.Lock()
	if now.Sub(l.minute) >= time.Minute {
		l.minute, l.said = now, make(map[string]int)
	}
	if _, known := l.said[key]; !known && len(l.said) >= saidTexts {
		key = message
	}
	l.said[key]++
	n := l.said[key]
	l.mu.Unlock()
	if n > saidAMinute {
		return
	}
	args := l.about(e)
	if n == saidAMinute {
		args = append(args, "more", "not logged until the minute is over; the record has them")
	}
	l.log.Log(context.Background(), level, message, args...)
}

// about is what is known of an event.
func (l *operatorLog) about(e *proxy.Event) []any {
	args := []any{"protocol", e.Protocol}
	add := func(key, value string) {
		if value != "" {
			args = append(args, key, value)
		}
	}
	if e.Identity != nil {
		add("user", e.Identity.Subject)
	} else {
		add("user", e.User)
	}
	if e.Target.Resource != nil {
		add("resource", e.Target.Resource.Name)
		add("database", e.Target.Database)
	}
	if e.Remote != nil {
		add("remote", e.Remote.String())
	}
	if e.Session != nil {
		add("session", e.Session.ID)
	}
	if e.Count > 0 {
		args = append(args, "count", e.Count)
	}
	add("err", reason(e.Err))
	return args
}

// reason is an error with what it hides from clients: a cause that its own text does
// not name.
func reason(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
		if s := cause.Error(); !strings.Contains(text, s) {
			text += ": " + s
		}
	}
	return text
}
