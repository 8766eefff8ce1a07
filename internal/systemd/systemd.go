// Package systemd tells the service manager that has started the process how it is getting on,
// and takes over the sockets that it has opened. Without a service manager it does nothing.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Service is what the service manager is told of.
type Service interface {
	// Live returns an error when the process does not get on, at the latest when ctx ends.
	Live(ctx context.Context) error
}

// Started says that the service can be reached.
func Started(log *slog.Logger) { tell(log, daemon.SdNotifyReady) }

// Reloading says that the configuration is read again, until [Started] is called.
func Reloading(log *slog.Logger) {
	tell(log, fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonic()/time.Microsecond))
}

// Stopping says that the service was told to stop, and comes to its end.
func Stopping(log *slog.Logger) { tell(log, daemon.SdNotifyStopping) }

// Watchdog says that the service is alive as often as the service manager asks for, until ctx ends.
func Watchdog(ctx context.Context, s Service, log *slog.Logger) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog cannot be served", "err", err)
	}
	if every == 0 {
		return // it does not ask
	}
	beat := time.NewTicker(every / 2)
	defer beat.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, every/4)
		err := s.Live(asking)
		cancel()
		switch {
		case err == nil:
			tell(log, daemon.SdNotifyWatchdog)
		case ctx.Err() == nil:
			log.Error("the service manager will start the gateway again", "err", err)
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
	}
}

func tell(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager could not be told", "state", state, "err", err)
	}
}
