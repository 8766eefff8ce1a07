package evloop

// Peer is what has become of a connection's other side.
type Peer uint8

// What Look returns.
const (
	Present Peer = iota // it may send more
	Unread              // it has sent what was not read yet; whether it sends more comes after that
	Ended               // it sends no more, and may read or not
	Gone                // it neither sends nor reads
)
