package tokens

import "sync"

// lazyKey is a key that is given, or made at its first use.
type lazyKey struct {
	once sync.Once
	key  []byte
}

func (k *lazyKey) of(given []byte) []byte {
	k.once.Do(func() {
		if k.key = given; k.key == nil {
			k.key = randomKey()
		}
	})
	return k.key
}
