package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// settled are settings of a session by which its statements may find or leave other rows. They are set on a second connection, too.
var settled = strings.Fields(`sql_mode time_zone collation_connection foreign_key_checks unique_checks sql_safe_updates div_precision_increment
	lc_time_names default_week_format group_concat_max_len max_sort_length`)

// errSilent ends a session whose server does not answer what takes it no time.
var errSilent = errors.New("the server did not answer a question about the session's settings in time")

// second is a connection of the gateway's own at the server of a session, as its account, for one measurement. What is asked there
// holds no locks of the session's, and is bounded in time.
type second struct {
	*upstream
	up      *up
	ctx     context.Context
	stop    func() bool
	healthy bool // it waits for a command
}

// second opens it, with the settings that the session has. each is how long one statement may take.
func (u *up) second(ctx context.Context, each time.Duration) (*second, error) {
	text := "SELECT "
	for i, name := range settled {
		if i > 0 {
			text += ", "
		}
		text += "@@SESSION." + name
	}
	late := context.AfterFunc(ctx, func() { u.session.session.Kill(errSilent) })
	rows, err := u.look(text, 1)
	late()
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 || len(rows[0]) != len(settled) {
		return nil, errState
	}
	up, err := another(ctx, u.session.session, each, u.state.database)
	if err != nil {
		return nil, errors.New("the server cannot be asked on another connection")
	}
	s := &second{upstream: up, up: u, ctx: ctx, healthy: true}
	s.stop = context.AfterFunc(ctx, func() { up.conn.SetDeadline(past) })
	var list []string
	for i, name := range settled {
		value := rows[0][i]
		if !isNumber([]byte(value)) {
			value = literal(value)
		}
		list = append(list, "SESSION "+name+" = "+value)
	}
	wait := max(1, int(each.Seconds()/3))
	for _, text := range []string{
		"SET " + strings.Join(list, ", "),
		fmt.Sprintf("SET SESSION innodb_lock_wait_timeout = %d, SESSION lock_wait_timeout = %d, character_set_results = utf8mb4", wait, wait),
	} {
		if err := s.ask(text, &look{}); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// ask asks a question there.
func (s *second) ask(text string, l *look) error {
	s.healthy = false
	_, err := s.table(text, l)
	return s.answered(err)
}

// explain returns the server's plan of a statement.
func (s *second) explain(text string) ([]map[string]string, error) {
	s.healthy = false
	plan, err := s.plan(text)
	return plan, s.answered(err)
}

// answered notes whether the server has given a whole answer.
func (s *second) answered(err error) error {
	var se *serverError
	switch {
	case errors.As(err, &se):
		s.healthy = true
		return &answeredError{se.code}
	case err == nil, errors.Is(err, errLong):
		s.healthy = true
		return err
	case s.ctx.Err() != nil:
		return errors.New("it took the server too long")
	}
	return err
}

// close takes back what was done there, and ends the connection. What still runs is ended.
func (s *second) close() {
	if !s.stop() && s.healthy {
		s.healthy = false
	}
	if s.healthy {
		s.conn.SetDeadline(time.Now().Add(time.Second))
		b, _ := wire.AppendPacket(nil, 0, []byte{byte(wire.Quit)})
		s.conn.Write(b)
	}
	s.conn.Close()
	if s.healthy {
		return
	}
	// Other than reading, a server may go on with what nobody waits for, and keep its locks.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 3*time.Second)
	defer cancel()
	if err := s.up.endUpstream(ctx, s.upstream); err != nil {
		of := s.up.session.session
		of.Gateway().Report(proxy.Event{
			Kind: proxy.EventConnFailed, Protocol: s.up.handler.Protocol(), Remote: of.Remote, Identity: of.Identity, Target: of.Target, Session: of,
			Err: fmt.Errorf("what was measured goes on at the server: %w", publicError(err)),
		})
	}
}
