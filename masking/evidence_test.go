package masking

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/proxy"
)

// neutral are names of columns of which none says that it holds cards.
var neutral = strings.Fields(`payment_ref transaction_id reference ref invoice_no invoice_id invoice order_id order_no order_number v value val hash
amount total sum code note notes data x y a b c1 c7 number no nr num barcode ean upc tracking_no tracking_number tracking shipment_id
parcel sku part_no part_number serial serial_no serial_number batch lot item item_id product_id product_code catalog_no isbn issn doi gtin
commit checksum sha md5 uuid guid timestamp epoch ts bytes size seq sequence offset duration latency request request_id trace_id span_id job_id pid
port event_id event message_id message build row_id row case_id case_no ticket ticket_id ticket_no record record_id document document_id doc_no
counter count session_no object_id object key etag bug issue run task_id node stock warehouse claim booking booking_ref reservation price quantity
version ver revision release description comment remark memo info details text content field1 attr attribute payload body extra misc other
external_id ext_id ext_ref legacy_id old_id source_id target_id customer_no user_no member_no client_ref entity_id id uid gid rid
identifier label title subject tag status state type kind category result response meta metadata blob raw txn txn_id trx receipt receipt_no
voucher coupon gift_no policy_no contract_no agreement_no debit_note merchant_ref acquirer_ref auth_code approval settlement_id payout_id refund_id charge_id`)

// withLuhn appends the check digit.
func withLuhn(digits string) string {
	sum := 0
	for i, c := range []byte(digits) {
		v := int(c - '0')
		if (len(digits)-i)%2 == 1 {
			v = v*2%10 + v/5
		}
		sum += v
	}
	return digits + strconv.Itoa((10-sum%10)%10)
}

func cardsOf(r *rand.Rand, n int) (list []string) {
	kinds := []struct {
		begins string
		digits int
	}{{"4", 16}, {"51", 16}, {"55", 16}, {"2221", 16}, {"37", 15}, {"6011", 16}, {"3530", 16}}
	for len(list) < n {
		k := kinds[r.IntN(len(kinds))]
		s := k.begins
		for len(s) < k.digits-1 {
			s += strconv.Itoa(r.IntN(10))
		}
		list = append(list, withLuhn(s))
	}
	return list
}

func randomNumbers(r *rand.Rand, n int) (list []string) {
	for range n {
		list = append(list, strconv.FormatInt(1e15+r.Int64N(9e15), 10))
	}
	return list
}

func sequence(from, n int64) (list []string) {
	for i := range n {
		list = append(list, strconv.FormatInt(from+i, 10))
	}
	return list
}

// fakeSampler has the values of one column.
type fakeSampler struct {
	column proxy.SampledColumn
	values []string
}

func (f fakeSampler) Sample(_ context.Context, _ *proxy.Session, _, _ string, each func(c *proxy.SampledColumn, value []byte)) error {
	for _, v := range f.values[:min(len(f.values), 100)] {
		each(&f.column, []byte(v))
	}
	return nil
}

// readColumn reads a table's column through a masker, and returns those of its
// values that went out as they were.
func readColumn(t *testing.T, sampler Sampler, c proxy.SampledColumn, values []string) (shown []string) {
	t.Helper()
	m, err := New(Config{Sampler: sampler})
	require.NoError(t, err)
	ctx := context.Background()
	hooks, err := m.Intercept(ctx, &proxy.Session{Protocol: "postgres", Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{}}})
	require.NoError(t, err)
	column := proxy.Column{Name: c.Name, Origins: []proxy.Origin{{Schema: "public", Relation: "t", Column: c.Name}}}
	op := &proxy.Statement{
		Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT " + c.Name + " FROM t"),
		Facts: &proxy.Facts{Effects: proxy.EffectRead, Rows: true, Statements: 1, ColumnsKnown: true, Columns: []proxy.Column{column}},
	}
	verdict := hooks.Ask(ctx, op)
	require.False(t, verdict.Refuses())
	shape := proxy.ShapeColumn{Name: c.Name, Schema: "public", Relation: "t", Column: c.Name, Table: 16400, Attr: 1, Type: oidText, Source: &column}
	if c.Type == "bigint" {
		shape.Type = oidInt8
	}
	f, err := hooks.Flow(ctx, op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{shape}})
	require.NoError(t, err)
	var r proxy.Row
	for _, v := range values {
		row := [][]byte{[]byte(v)}
		r.Reset(row)
		require.NoError(t, f.Row(&r))
		if string(row[0]) == v {
			shown = append(shown, v)
		}
	}
	return shown
}

// TestColumnsAreTakenForWhatTheyHold: cards are masked whatever their column is
// called, and other numbers stay, from the first row on.
func TestColumnsAreTakenForWhatTheyHold(t *testing.T) {
	require.Greater(t, len(neutral), 180)
	r := rand.New(rand.NewPCG(1, 2))
	cards := cardsOf(r, 40)
	random, hidden := 0, 0
	for _, name := range neutral {
		text, number := proxy.SampledColumn{Name: name, Type: "text"}, proxy.SampledColumn{Name: name, Type: "bigint"}
		for what, c := range map[string]struct {
			column proxy.SampledColumn
			values []string
		}{"cards in text": {text, cards}, "cards in numbers": {number, cards}, "one card in text": {text, cards[:1]}, "one card in numbers": {number, cards[:1]}} {
			require.Empty(t, readColumn(t, fakeSampler{c.column, c.values}, c.column, c.values), "%s called %s", what, name)
			require.Empty(t, readColumn(t, nil, c.column, c.values), "%s called %s, not sampled", what, name)
		}
		if _, hinted := detect.Default().TypeOfName(name); hinted {
			continue
		}
		for what, values := range map[string][]string{
			"of a sequence": sequence(1, 60), "of a sequence of 16 digits": sequence(4e15, 60), "of a sequence in another range": sequence(5105105105105000, 60),
			"with a common beginning": sequence(4242424242000000, 300),
		} {
			require.Equal(t, values, readColumn(t, fakeSampler{number, values}, number, values), "numbers %s called %s", what, name)
			require.Equal(t, values, readColumn(t, fakeSampler{text, values}, text, values), "texts %s called %s", what, name)
		}
		values := randomNumbers(r, 100)
		random += 2 * len(values)
		hidden += 2*len(values) - len(readColumn(t, fakeSampler{number, values}, number, values)) - len(readColumn(t, fakeSampler{text, values}, text, values))
	}
	require.Less(t, hidden*500, random, "of random numbers one in thirty passes the check")
}

// TestFewNumbersOfASequence: what the database numbers by itself is not a card, however
// few there are.
func TestFewNumbersOfASequence(t *testing.T) {
	one := []string{"4111111111111111"}
	column := proxy.SampledColumn{Name: "id", Type: "bigint", Sequence: true, Key: true}
	require.Equal(t, one, readColumn(t, fakeSampler{column, one}, column, one))
	column.Sequence, column.Key = false, false
	require.Empty(t, readColumn(t, fakeSampler{column, one}, column, one))
	column.Key = true
	cards := cardsOf(rand.New(rand.NewPCG(3, 4)), 40)
	require.Empty(t, readColumn(t, fakeSampler{column, cards}, column, cards), "a key may be a card")
}

// TestResultsDoNotOutweighTables: numbers that a statement puts next to cards do not
// make accidents of them.
func TestResultsDoNotOutweighTables(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	cards := cardsOf(r, 20)
	column := proxy.SampledColumn{Name: "ext_id", Type: "bigint"}
	filled := append(sequence(4e15, 500), cards...)
	require.Empty(t, passing(readColumn(t, fakeSampler{column, cards}, column, filled)))
	text := proxy.SampledColumn{Name: "x", Type: "text"}
	require.Empty(t, passing(readColumn(t, nil, text, filled)), "of a text that was not read beforehand no card is shown")
	require.Greater(t, len(readColumn(t, nil, column, sequence(4e15, 500))), 495, "of numbers few are taken for cards before there are enough")
}

func passing(values []string) (list []string) {
	for _, v := range values {
		if n := len(v) - 1; v == withLuhn(v[:n]) {
			list = append(list, v)
		}
	}
	return list
}

// TestNamesOfThings: brands, teams and places in columns that are called so are not
// people, and a sentence about somebody there is.
func TestNamesOfThings(t *testing.T) {
	values := []string{
		"Hugo Boss", "Tommy Hilfiger", "Calvin Klein", "Levi's Original Fit Jeans", "Philips Sonicare Toothbrush", "Miele Waschmaschine", "Los Angeles Lakers", "Manchester United", "Real Madrid",
		"King's Cross", "Victoria Coach Station", "The Great Gatsby", "Royal Albert Hall", "Harry Potter", "Nike Air Zoom Pegasus", "Bosch Professional Drill", "St Pancras International", "Weber Spirit Gasgrill",
	}
	for _, name := range []string{"product_name", "productName", "brand", "brand_name", "team", "title", "station", "venue", "hotel_name", "company", "model", "city", "Team Name"} {
		column := proxy.SampledColumn{Name: name, Type: "text"}
		require.Equal(t, values, readColumn(t, fakeSampler{column, values}, column, values), name)
		require.Len(t, readColumn(t, nil, column, values), len(values), name)
		typ, ok := detect.Default().ColumnVerdict(name, "text", bytesOf(values))
		require.False(t, ok, "%s is taken for %s", name, typ)
		said := []string{"The manager Oliver Stone was called by us"}
		require.Empty(t, readColumn(t, nil, column, said), name)
	}
}

// TestToolAndGatewayAgree: what is said of a column's values is what is done to them.
func TestToolAndGatewayAgree(t *testing.T) {
	people := []string{"Oliver Stone", "Maria Garcia", "Peter Jackson", "Daniel Meyer", "Sarah Miller", "Emily Watson"}
	many := []string{"Klaas Krohn", "Wibke Reinhardt", "Chizoba Taiwo", "Innocenty Juszczak", "Benvenuta Elia", "Şenay Aksel", "Anneli Blomqvist", "Ghislain Carpentier", "Dhananjay Guha", "Puti Safitri"}
	upper := []string{"DORIS HAMPTON", "RALPH NOVAK", "OLIVER STONE", "MARIA GARCIA", "PETER JACKSON", "DANIEL MEYER"}
	family := []string{"Hampton, Doris", "Novak, Ralph", "Stone, Oliver", "Garcia, Maria", "Jackson, Peter", "Meyer, Daniel"}
	wide := []string{"田中太郎", "山本花子", "佐藤健", "鈴木一郎", "高橋美咲", "伊藤大輔"}
	cyrillic := []string{"Ангелина Кабанова", "Иван Петров", "Ольга Смирнова", "Сергей Волков", "Мария Орлова", "Павел Зайцев"}
	things := []string{"blue lamp", "red chair", "old table", "green sofa", "small desk", "tall shelf"}
	for _, name := range []string{"name", "owner", "x", "contact", "reported_by", "author", "title"} {
		for _, values := range [][]string{people, many, upper, family, wide, cyrillic, things} {
			column := proxy.SampledColumn{Name: name, Type: "text"}
			_, said := detect.Default().ColumnVerdict(name, "text", bytesOf(values))
			shown := readColumn(t, fakeSampler{column, values}, column, values)
			require.Equal(t, said, len(shown) == 0, "%s: %q of %q are shown", name, shown, values)
			if name != "title" { // things have titles, too
				require.Equal(t, values[0] != things[0], said, "%s: %q", name, values)
			}
		}
	}
}

func bytesOf(values []string) (list [][]byte) {
	for _, v := range values {
		list = append(list, []byte(v))
	}
	return list
}

// TestNamesAreNoVeto: values of a form without a check outweigh a name when there are
// many of them.
func TestNamesAreNoVeto(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var phones, parts, addresses []string
	for range 30 {
		phones = append(phones, fmt.Sprintf("(415) 555-%04d", r.IntN(10000)))
		parts = append(parts, fmt.Sprintf("%03d-%03d-%04d", r.IntN(1000), r.IntN(1000), r.IntN(10000)))
		addresses = append(addresses, fmt.Sprintf("93.184.%d.%d", r.IntN(256), r.IntN(256)))
	}
	for _, name := range []string{"reference", "order_no", "invoice", "code", "v"} {
		column := proxy.SampledColumn{Name: name, Type: "text"}
		require.Empty(t, readColumn(t, fakeSampler{column, phones}, column, phones), name)
		require.Empty(t, readColumn(t, fakeSampler{column, addresses}, column, addresses), name)
	}
	column := proxy.SampledColumn{Name: "part_no", Type: "text"}
	require.Equal(t, parts, readColumn(t, fakeSampler{column, parts}, column, parts))
}

// TestWeighedParts: numbers in arrays and padded ones are weighed as others are.
func TestWeighedParts(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	cards := cardsOf(r, 40)
	var arrays, padded, few []string
	for _, n := range sequence(4e15, 60) {
		arrays, padded = append(arrays, "{"+n+",17,"+n+"}"), append(padded, n+"    ")
	}
	for _, n := range cards {
		few = append(few, "{"+n+"}")
	}
	column := proxy.SampledColumn{Name: "refs", Type: "text"}
	require.Equal(t, arrays, readColumn(t, fakeSampler{column, arrays}, column, arrays))
	require.Equal(t, padded, readColumn(t, fakeSampler{column, padded}, column, padded))
	require.Empty(t, readColumn(t, fakeSampler{column, few}, column, few))
	m, err := New(Config{})
	require.NoError(t, err)
	ids, pans := m.Column("ext_id", "", bytesOf(sequence(4e15, 60))), m.Column("ext_id", "", bytesOf(cards))
	for _, n := range sequence(4e15, 60) {
		require.Equal(t, n, string(ids.AppendMasked(nil, []byte(n))))
	}
	for _, n := range cards {
		require.NotEqual(t, n, string(pans.AppendMasked(nil, []byte(n))))
	}
}
