package external

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
)

// presidio answers as its analyzer does: where the words of names stand, in code
// points.
func presidio(names map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Text      string
			Language  string
			Threshold *float64 `json:"score_threshold"`
		}
		if r.Method != http.MethodPost || r.URL.Path != "/analyze" || json.NewDecoder(r.Body).Decode(&q) != nil || q.Language == "" {
			http.Error(w, `{"error":"no text provided"}`, http.StatusInternalServerError)
			return
		}
		list := []map[string]any{}
		for name, typ := range names {
			if i := strings.Index(q.Text, name); i >= 0 {
				start := len([]rune(q.Text[:i]))
				list = append(list, map[string]any{"start": start, "end": start + len([]rune(name)), "score": 0.85, "entity_type": typ, "analysis_explanation": nil})
			}
		}
		_ = json.NewEncoder(w).Encode(list)
	}
}

func serve(t *testing.T, h http.HandlerFunc, path string, c Config) *Analyzer {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c.URL = s.URL + path
	a, err := New(c)
	require.NoError(t, err)
	return a
}

func TestPresidio(t *testing.T) {
	a := serve(t, presidio(map[string]string{"Žofie Nováková": "PERSON", "Kč 5": "MONEY"}), "/analyze", Config{Types: map[string]detect.Type{"MONEY": "AMOUNT"}})
	text := "paní Žofie Nováková dluží Kč 5"
	found, err := a.Find(t.Context(), nil, []byte(text))
	require.NoError(t, err)
	require.Len(t, found, 2)
	got := map[detect.Type]string{}
	for _, f := range found {
		got[f.Type] = text[f.Start:f.End]
		require.EqualValues(t, 85, f.Score)
	}
	require.Equal(t, map[detect.Type]string{"PERSON": "Žofie Nováková", "AMOUNT": "Kč 5"}, got)
}

func TestChat(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		var q chatRequest
		require.NoError(t, json.NewDecoder(r.Body).Decode(&q))
		require.Equal(t, "m1", q.Model)
		require.Equal(t, "Bearer k3y", r.Header.Get("Authorization"))
		require.Equal(t, "system", q.Messages[0].Role)
		content, _ := json.Marshal(map[string]any{"entities": []map[string]string{{"type": "PERSON", "text": "Ann"}, {"type": "PERSON", "text": "not there"}, {"type": "", "text": "x"}}})
		_ = json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"finish_reason": "stop", "message": message{"assistant", string(content)}}}})
	}
	a := serve(t, h, "/v1/chat/completions", Config{API: Chat, Model: "m1", Key: "k3y"})
	found, err := a.Find(t.Context(), nil, []byte("Ann met Ann"))
	require.NoError(t, err)
	require.Equal(t, []detect.Finding{{Start: 0, End: 3, Type: "PERSON", Score: 70}, {Start: 8, End: 11, Type: "PERSON", Score: 70}}, found)
}

// hang waits until the client has left, which a server notices once it has read
// the request.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestFailures(t *testing.T) {
	const secret = "the text of the user"
	answer := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"error": answer(500, `{"error": "`+secret+`"}`),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/", http.StatusFound)
		},
		"not JSON":  answer(200, "<html>"),
		"no list":   answer(200, `{"a": 1}`),
		"outside":   answer(200, `[{"start": 3, "end": 400, "score": 1, "entity_type": "PERSON"}]`),
		"backwards": answer(200, `[{"start": 3, "end": 3, "score": 1, "entity_type": "PERSON"}]`),
		"no place":  answer(200, `[{"score": 1, "entity_type": "PERSON"}]`),
		"no type":   answer(200, `[{"start": 0, "end": 3, "score": 1}]`),
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = io.WriteString(w, "[")
		},
		"too long":  answer(200, "["+strings.Repeat(" ", maxAnswer)+"]"),
		"no answer": func(_ http.ResponseWriter, r *http.Request) { hang(r) },
		"hangs inside": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "[")
			w.(http.Flusher).Flush()
			hang(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := []detect.Finding{{Start: 1, End: 2, Type: "X"}}
			closed := serve(t, h, "/analyze", Config{Timeout: 200 * time.Millisecond})
			found, err := closed.Find(t.Context(), before, []byte(secret))
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
			require.Equal(t, before, found)
			open := serve(t, h, "/analyze", Config{Timeout: 200 * time.Millisecond, Open: true})
			found, err = open.Find(t.Context(), before, []byte(secret))
			require.NoError(t, err)
			require.Equal(t, before, found)
		})
	}
	a := serve(t, answer(200, "[]"), "/analyze", Config{MaxText: 10})
	_, err := a.Find(t.Context(), nil, []byte("eleven bytes"))
	require.Error(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a = serve(t, answer(200, "[]"), "/analyze", Config{Open: true})
	_, err = a.Find(ctx, nil, []byte("x"))
	require.ErrorIs(t, err, context.Canceled, "who gave up gets no text unmasked")
}

func TestBreaker(t *testing.T) {
	var asked atomic.Int32
	var healthy atomic.Bool
	h := func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if !healthy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "[]")
	}
	a := serve(t, h, "/analyze", Config{Failures: 3, Pause: 300 * time.Millisecond})
	for range 10 {
		_, err := a.Find(t.Context(), nil, []byte("x"))
		require.Error(t, err)
	}
	require.EqualValues(t, 3, asked.Load(), "an open breaker asks nobody")
	_, err := a.Find(t.Context(), nil, []byte("x"))
	require.ErrorIs(t, err, ErrUnavailable)
	time.Sleep(310 * time.Millisecond)
	_, err = a.Find(t.Context(), nil, []byte("x"))
	require.Error(t, err)
	require.EqualValues(t, 4, asked.Load(), "one request tries again")
	_, err = a.Find(t.Context(), nil, []byte("x"))
	require.ErrorIs(t, err, ErrUnavailable, "and a failure opens it again")
	healthy.Store(true)
	time.Sleep(310 * time.Millisecond)
	for range 3 {
		_, err = a.Find(t.Context(), nil, []byte("x"))
		require.NoError(t, err)
	}
	require.EqualValues(t, 7, asked.Load())
}

func TestNew(t *testing.T) {
	for name, c := range map[string]Config{
		"no URL":         {},
		"scheme":         {URL: "ftp://localhost/x"},
		"no TLS":         {URL: "http://analyzer.internal/analyze"},
		"password":       {URL: "https://a:b@analyzer.internal/analyze"},
		"API":            {URL: "https://a/analyze", API: 9},
		"no model":       {URL: "https://a/v1", API: Chat},
		"needless model": {URL: "https://a/analyze", Model: "m"},
		"score":          {URL: "https://a/analyze", LeastScore: 2},
		"timeout":        {URL: "https://a/analyze", Timeout: -1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c)
			require.Error(t, err)
		})
	}
	_, err := New(Config{URL: "http://127.0.0.1:5002/analyze"})
	require.NoError(t, err)
}
