package prose

import "strings"

// Tags of words, in the order of the model's weights.
const (
	tagOther = iota
	tagPersonBegin
	tagPersonInside
	tagPlaceBegin
	tagPlaceInside
	tagCompanyBegin
	tagCompanyInside
	tags
)

// inside reports whether tag b may follow tag a.
func follows(a, b int) bool {
	switch b {
	case tagPersonInside, tagPlaceInside, tagCompanyInside:
		return a == b || a == b-1
	}
	return true
}

// closed are short lists of words that are told apart by name.
var closed = func() *wordFlags {
	m := &wordFlags{}
	for flag, words := range map[tokenFlags]string{
		flagTitle: "mr mrs ms miss mx dr prof professor sir madam madame mme mlle monsieur herr frau senor senora sr sra don dona signor signora captain capt sergeant sgt lieutenant lt colonel col general gen judge justice " +
			"president senator officer nurse coach uncle aunt father sister brother lord lady king queen prince princess rabbi imam reverend rev pastor doctor attn dear hi hello hey",
		flagParticle: "van de von der den da di del della dos das du la le el al bin ibn ben abu ter ten zu zur y e af av",
		flagCompany: "inc llc ltd limited gmbh corp corporation co company group holdings partners bank university hospital ag sa plc foundation associates institute college school clinic council ministry department " +
			"airlines insurance bv nv oy ab as kg sons international technologies systems solutions industries",
		flagStreet: "street st road rd avenue ave lane ln drive dr boulevard blvd court ct way place pl terrace square sq highway hwy parkway pkwy crescent close alley row circle cir trail grove mews strasse bypass canyon causeway cove coves creek crest crossing crossroad curve dale estate estates expressway extension falls ferry ford fords forge fork forks freeway garden gardens gateway glen glens green greens haven heights hill hills hollow inlet isle junction knoll knolls landing loop manor meadow meadows mill mills motorway mount neck orchard overpass pass passage path pike pine pines plain plains plaza point points port ports prairie ranch ridge ridges route run shoal shoals shore shores skyway spring springs spur stravenue stream summit throughway trace track trafficway turnpike union unions valley via viaduct view views village ville vista walk walks wall well wells harbor harbors light lights lock locks lodge mission mountain mountains park parks river rue station tunnel underpass",
		flagCalendar: "january february march april may june july august september october november december monday tuesday wednesday thursday friday saturday sunday " +
			"jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur fri sat sun",
		flagGerman:  "der die das und ist nicht ein eine einen einem einer eines im zum zur vom beim mit auf für von sich auch nach wird werden wurde sind dem den des als aus bei noch nur über durch oder wenn sie er es wir hat haben het een niet van voor zijn wordt werd",
		flagRomance: "el los las una unos por para con del que como pero más está fue son sus lo se al le les des du une est dans pour sur avec pas qui sont au aux il elle nous vous ce cette di del della che non per una sono anche con nel gli è o os as um uma do dos das no na nos nas em não ao à foi mais",
		flagNordic:  "och att det som på är av för med till den har inte om ett han hon var jag sig så men vi kan från eller ut skall ska efter vid mot og ikke jeg til af i",
	} {
		for _, w := range strings.Fields(words) {
			m.add(hashOf(w), flag)
		}
	}
	return m
}()

// wordFlags maps hashes of words to flags.
type wordFlags [2048]struct {
	hash  uint32
	flags tokenFlags
}

func (t *wordFlags) add(h uint32, f tokenFlags) {
	i := (h ^ h>>15) % uint32(len(t))
	for t[i].hash != 0 && t[i].hash != h {
		i = (i + 1) % uint32(len(t))
	}
	t[i].hash = h
	t[i].flags |= f
}

func (t *wordFlags) of(h uint32) tokenFlags {
	for i := (h ^ h>>15) % uint32(len(t)); t[i].hash != 0; i = (i + 1) % uint32(len(t)) {
		if t[i].hash == h {
			return t[i].flags
		}
	}
	return 0
}

func hashOf(w string) uint32 {
	h := uint32(hashSeed)
	for i := range len(w) {
		h = (h ^ uint32(w[i])) * hashPrime
	}
	return h
}

// look adds to the flags of all tokens what lists and gazetteers say, and to those of
// words with capitals of which tongue, or kin of tongues, the line seems to be.
func (m *Model) look(tokens []token) {
	var tongues [3]int
	defer func() {
		most := 0
		for t, n := range tongues {
			if n > tongues[most] {
				most = t
			}
		}
		if tongues[most] < 2 {
			return
		}
		for i := range tokens {
			if tokens[i].flags&flagCapital != 0 {
				tokens[i].flags |= flagGerman << most
			}
		}
	}()
	for i := range tokens {
		k := &tokens[i]
		if k.flags&flagWord == 0 {
			continue
		}
		k.flags |= closed.of(k.hash)
		if m.common.has(k.hash) {
			k.flags |= flagCommon
		}
		if k.flags&flagCapital == 0 {
			for t := range tongues {
				if k.flags&(flagGerman<<t) != 0 {
					tongues[t]++
				}
			}
			continue
		}
		k.flags &^= tongue
		if m.given.has(k.hash) {
			k.flags |= flagGiven
		}
		if m.family.has(k.hash) {
			k.flags |= flagFamily
		}
		if m.place.has(k.hash) {
			k.flags |= flagPlace
		}
		if m.company.has(k.hash) {
			k.flags |= flagBrand
		}
	}
}

var edge = token{hash: 7}

// tongue are the flags of tongues.
const tongue = flagGerman | flagRomance | flagNordic

// nFeatures is how many features a word has.
const nFeatures = 29

// extract fills f with the places in the model of the features of the word i, the
// tags of the two before it being a and b.
func extract(f *[nFeatures]uint32, tokens []token, i, a, b int) {
	at := func(k int) *token {
		if k < 0 || k >= len(tokens) {
			return &edge
		}
		return &tokens[k]
	}
	k, p, n := at(i), at(i-1), at(i+1)
	pp, nn := at(i-2), at(i+2)
	const gazetteer = flagGiven | flagFamily | flagCommon | flagPlace | flagTitle | flagParticle | flagCompany | flagStreet | flagCalendar | flagBrand
	const shape = flagWord | flagNumber | flagCapital | flagAll | flagInitial
	kind := func(t *token) uint32 { return uint32(t.flags & (gazetteer | shape)) }
	first := uint32(0)
	if i == 0 || p.flags&flagWord == 0 && p.hash == uint32('.')+2 {
		first = 1
	}
	tag := uint32(b + 1)
	in := uint32(k.flags & tongue)
	kk, kp, kn := kind(k), kind(p), kind(n)
	x := [nFeatures]uint32{
		0,
		k.hash,
		k.prefix,
		k.suffix,
		kk,
		kk*31 + first,
		kk*31 + tag,
		kk*31 + kp*7,
		kk*31 + kn*7,
		kp*31 + kn*7 + kk*131,
		p.hash,
		n.hash,
		p.hash*31 + kk,
		n.hash*31 + kk,
		pp.hash*17 + p.hash,
		n.hash*17 + nn.hash,
		pp.hash*31 + kk,
		tag*31 + uint32(a+1),
		tag*31 + k.suffix,
		tag*31 + p.hash,
		tag*31 + kn,
		kind(nn)*31 + kn*7 + kk*131,
		kind(pp)*31 + kp*7 + kk*131,
		uint32(min(k.length, 12))*31 + kk,
		p.hash*31 + n.hash,
		tag*31 + n.hash,
		in*31 + kk*7 + first,
		in*31 + k.suffix,
		in*31 + kk + kp*131 + tag,
	}
	for i, v := range x {
		v ^= uint32(i+1) * 0x85ebca6b
		v *= 0xcc9e2d51
		v ^= v >> 15
		v *= 0x1b873593
		f[i] = v >> (32 - featureBits)
	}
}
