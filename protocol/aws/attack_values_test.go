package aws

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// TestAttackValues: a short body of very many values takes up room for what it becomes, until the request has ended. The body with the most of
// them has room, and the longest body as well.
func TestAttackValues(t *testing.T) {
	require.LessOrEqual(t, int64(maxBody+maxValues*valueSize), int64(maxOwnRoom))
	begun, end := make(chan struct{}, 1), make(chan struct{})
	r, sent := start(t, func(_ http.ResponseWriter, q *http.Request) {
		if q.ContentLength > 1000 {
			begun <- struct{}{}
			<-end
		}
	}, func(r *rig) { r.handler.Shared = &Shared{} })
	alice, bob := r.keys("alice"), r.keys("bob")
	values := int64(maxValues) - 100
	body := `{"TableName":"orders","a":[` + strings.Repeat("0,", int(values)) + "0]}"
	done := make(chan int, 1)
	go func() { done <- r.dynamo(alice, "PutItem", body).StatusCode }()
	<-begun
	require.Greater(t, r.handler.Shared.room.held(), values*valueSize)
	res := r.dynamo(alice, "UpdateItem", body)
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, res.text)
	require.Equal(t, "SlowDown", res.Header.Get("X-Amzn-Errortype"))
	require.Equal(t, http.StatusOK, r.dynamo(alice, "PutItem", `{"TableName":"orders"}`).StatusCode)
	require.Equal(t, http.StatusOK, r.dynamo(bob, "PutItem", `{"TableName":"orders"}`).StatusCode)
	close(end)
	require.Equal(t, http.StatusOK, <-done)
	require.Len(t, sent(), 3)
	require.Eventually(t, func() bool { return r.handler.Shared.room.held() == 0 }, 10*time.Second, time.Millisecond)

	leaked := sigv4.Keys{ID: alice.ID, Secret: "not known", Token: alice.Token}
	require.Equal(t, http.StatusForbidden, r.dynamo(leaked, "PutItem", "no JSON").StatusCode, "nothing is read in a body before its signature is proven")
	require.Equal(t, http.StatusBadRequest, r.dynamo(alice, "PutItem", `{"a":[`+strings.Repeat("{},", maxValues)+"0]}").StatusCode, "sending it again does not help")
	form := "Action=ListUsers" + strings.Repeat("&a=", 1<<20)
	res = r.send(alice, ask{service: "iam", method: "POST", uri: "/", body: form, headers: []string{"Content-Type", "application/x-www-form-urlencoded"}})
	require.Equal(t, http.StatusBadRequest, res.StatusCode, res.text)
	require.Len(t, sent(), 3)
}

// TestValues: no value of JSON is left out of the count, and data is not counted.
func TestValues(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 1, "[]": 2, "[0,0]": 3, `{"a":0,"b":[{}]}`: 5, `"a,b[c{d"`: 1, `["\"[,",{"\\\\":"{"},0]`: 5, "": 1,
	} {
		require.Equal(t, want, valuesOf([]byte(text)), text)
	}
}

// TestShapeBound: what is said of a body begins as the shape of all of it does, and no more of it is made.
func TestShapeBound(t *testing.T) {
	for name, text := range map[string]string{
		"many names":    manyNames(maxShape),
		"a long list":   `{"a":[` + strings.Repeat(`{"b":[0,"1",true,null]},`, maxShape) + `0],"b":0}`,
		"a long text":   `{"Name":"` + strings.Repeat("é", maxShape) + `","b":0}`,
		"escaped texts": `{"Names":[` + strings.Repeat(`"<\u2028\ud800>",`, maxShape) + `"a"],"b":0}`,
		"a long name":   `{"` + strings.Repeat("a", maxShape) + `":{"b":0},"b":{"c":0}}`,
	} {
		var v any
		require.NoError(t, json.Unmarshal([]byte(text), &v), name)
		left, all := maxShape, math.MaxInt
		bound, whole := must(json.Marshal(shapeOf(v, "", &left))), must(json.Marshal(shapeOf(v, "", &all)))
		require.Greater(t, len(whole), maxShape, name)
		require.Greater(t, len(bound), maxShape, name)
		require.Less(t, len(bound), 20*maxShape, name)
		require.Equal(t, string(whole[:maxShape]), string(bound[:maxShape]), name)
		require.Equal(t, summary(string(whole), nil), summary(string(bound), nil), name)
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%x":{"Name":"%d"},`, i*7919, i)
	}
	return "{" + b.String() + `"z":0}`
}
