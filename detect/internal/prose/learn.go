package prose

// Lists are the words of the gazetteers.
type Lists struct {
	Given, Family, Common, Places, Companies []string
}

// Example is a text with all its names.
type Example struct {
	Text  string
	Names []Name
}

// Learn trains a model by an averaged perceptron that goes over the examples
// several times. order is called before each time with the number of examples
// and returns the order to take them in.
func Learn(lists Lists, examples []Example, times int, order func(n int) []int) *Model {
	m := &Model{
		weights: make([]int8, features*tags),
		given:   NewBloom(lists.Given), family: NewBloom(lists.Family), common: NewBloom(lists.Common), place: NewBloom(lists.Places), company: NewBloom(lists.Companies),
	}
	now, sum, last := make([]float32, features*tags), make([]float64, features*tags), make([]int32, features*tags)
	step := int32(0)
	change := func(i int, by float32) {
		sum[i] += float64(now[i]) * float64(step-last[i])
		now[i] += by
		last[i] = step
	}
	var t Tagger
	var f [nFeatures]uint32
	for range times {
		for _, x := range order(len(examples)) {
			text := []byte(examples[x].Text)
			for i := 0; i < len(text); {
				next := t.read(text, i)
				if next <= i {
					break
				}
				i = next
				m.look(t.tokens)
				a, b := tagOther, tagOther
				for k := range t.tokens {
					want := wanted(examples[x].Names, &t.tokens[k], b)
					if t.tokens[k].flags&flagCapital == 0 {
						a, b = b, tagOther
						if joins(t.tokens, k) && a != tagOther {
							b = (a-1)/2*2 + 2
						}
						continue
					}
					extract(&f, t.tokens, k, a, b)
					var score [tags]float32
					for _, at := range f {
						for g := range score {
							score[g] += now[int(at)*tags+g]
						}
					}
					got := tagOther
					for g := 1; g < tags; g++ {
						if score[g] > score[got] && follows(b, g) {
							got = g
						}
					}
					step++
					if got != want {
						for _, at := range f {
							change(int(at)*tags+want, 1)
							change(int(at)*tags+got, -1)
						}
					}
					a, b = b, got
				}
			}
		}
	}
	most := 1.0
	for i := range sum {
		sum[i] = (sum[i] + float64(now[i])*float64(step-last[i])) / float64(step)
		most = max(most, sum[i], -sum[i])
	}
	scale := 127 / min(most, 8)
	for i := range sum {
		w := sum[i] * scale
		m.weights[i] = int8(max(-127, min(127, w+0.5*sign(w))))
	}
	m.lean(16)
	m.pack()
	return m
}

// lean makes every word with a capital a little likelier to begin the name of a person:
// a name that is missed is worse than one too many.
func (m *Model) lean(by int8) {
	var f [nFeatures]uint32
	extract(&f, []token{edge}, 0, 0, 0)
	m.weights[f[0]*tags+tagPersonBegin] += by
}

func sign(x float64) float64 {
	if x < 0 {
		return -1
	}
	return 1
}

// wanted returns the right tag of k, where the token before it was tagged before.
func wanted(names []Name, k *token, before int) int {
	for _, n := range names {
		if n.Kind > Company || k.start >= n.End || k.end <= n.Start {
			continue
		}
		begin := 1 + 2*int(n.Kind)
		if k.start > n.Start && (before == begin || before == begin+1) {
			return begin + 1
		}
		return begin
	}
	return tagOther
}

// With returns a model with the weights of m and other gazetteers.
func (m *Model) With(lists Lists) *Model {
	return &Model{weights: m.weights, rows: m.rows, given: NewBloom(lists.Given), family: NewBloom(lists.Family), common: NewBloom(lists.Common), place: NewBloom(lists.Places), company: NewBloom(lists.Companies)}
}
