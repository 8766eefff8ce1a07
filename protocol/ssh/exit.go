package ssh

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// exitCodeOf tells refusals from failures: 255 is what ssh itself exits with
// when there is no connection.
func exitCodeOf(err error) uint32 {
	var refused *proxy.RefusedError
	if errors.As(err, &refused) {
		return 1
	}
	return 255
}

// exit ends the channel from the gateway's side.
func (ch *channel) exit(code uint32) {
	ch.client.SendRequest("exit-status", false, []byte{byte(code >> 24), byte(code >> 16), byte(code >> 8), byte(code)})
	ch.client.Close()
}

// resourceRequests acts on the resource's requests on this channel, and, when
// the resource closed it, ends the channel.
func (ch *channel) resourceRequests(requests <-chan *gossh.Request) error {
	defer close(ch.relayed)
	for r := range requests {
		ch.resourceRequest(r)
	}
	ch.stopStart()
	if ch.runs() {
		// Everything that came before the close has its time, as long as the client
		// is there to read it.
		ch.wait(ch.stdout.done)
		ch.wait(ch.stderr.done)
	}
	switch s := ch.session; {
	case s.ctx.Err() != nil:
		ch.abort()
	case ch.ctx.Err() == nil && ch.cutOff():
		ch.say("the connection to " + s.proxied.Target.Resource.Name + " was lost")
		ch.exit(255)
	}
	ch.client.Close()
	ch.finish()
	return nil
}

// runs reports whether the channel's operation was started. It waits until what is being
// started has its answer.
func (ch *channel) runs() bool {
	ch.starting.Lock()
	defer ch.starting.Unlock()
	return ch.op != nil
}

func (ch *channel) wait(done <-chan struct{}) {
	select {
	case <-done:
	case <-ch.ctx.Done():
	}
}

// cutOff reports whether the channel ended because the resource's connection
// did. The library closes the channels first, so this may take a moment to show.
func (ch *channel) cutOff() bool {
	select {
	case <-ch.exited:
		return false
	default:
	}
	select {
	case <-ch.session.upstream.ended:
		return ch.session.lost.Load()
	case <-ch.exited:
	case <-time.After(100 * time.Millisecond):
	}
	return false
}

func (ch *channel) resourceRequest(r *gossh.Request) {
	ok := true
	switch r.Type {
	case "exit-status":
		code, err := parseUint32(r.Payload)
		if ok = err == nil; ok {
			ch.passExit(r, strconv.FormatUint(uint64(code), 10))
		}
	case "exit-signal":
		sig, err := parseExitSignal(r.Payload)
		if ok = err == nil; ok {
			ch.passExit(r, "signal "+printable(sig.Signal))
		}
	case "xon-xoff", "eow@openssh.com":
		if ok = len(r.Payload) <= 1; ok {
			ch.client.SendRequest(r.Type, false, r.Payload)
		}
	case "keepalive@openssh.com":
		ok = false // as OpenSSH itself answers
	default:
		ok = false
		ch.session.refuseName("request of the resource's", r.Type)
	}
	r.Reply(ok, nil)
}

// passExit passes on how the command ended, after everything that it wrote.
func (ch *channel) passExit(r *gossh.Request, code string) {
	if ch.exitCode.Load() != nil || ch.stdout == nil {
		return
	}
	ch.stdout.settled(ch.ctx.Done())
	ch.stderr.settled(ch.ctx.Done())
	payload := r.Payload
	if code == "0" && ch.refusedLine.Load() {
		code, payload = "1", []byte{0, 0, 0, 1}
	}
	ch.client.SendRequest(r.Type, false, payload)
	ch.setExit(code)
}

func (ch *channel) setExit(code string) {
	if ch.exitCode.CompareAndSwap(nil, &code) {
		close(ch.exited)
	}
}

// finish tells the chain how the channel's operation ended.
func (ch *channel) finish() {
	ch.finished.Do(func() {
		if ch.op == nil {
			return
		}
		out := &proxy.Outcome{}
		if code := ch.exitCode.Load(); code == nil {
			out.Err = errNoExit
			if ch.session.lost.Load() {
				out.Err = errLost
			}
		} else if *code != "0" {
			out.Code = *code
		}
		if ch.files != nil {
			<-ch.stdin.done
			<-ch.stdout.done
			ch.files.Close()
		}
		if ch.stdin != nil {
			out.BytesIn = ch.stdin.count.Load()
			out.BytesOut = ch.stdout.count.Load() + ch.stderr.count.Load()
		}
		ch.doneFiles(out)
		ch.session.proxied.Done(ch.op, out)
	})
}

var errNoExit = errors.New("it ended without an exit status")

// abort ends the channel because the session has ended. Who waits for the answer to
// a request gets it first: a client may show nothing of a channel that is closed
// before.
func (ch *channel) abort() {
	ch.aborted.Do(func() {
		ch.starting.Lock()
		defer ch.starting.Unlock()
		if ch.menu.Load() {
			ch.out.Write([]byte(leaveScreen))
		}
		ch.say(fmt.Sprint("the session was ended: ", context.Cause(ch.session.ctx)))
		ch.exit(255)
	})
}
