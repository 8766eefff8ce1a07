package proxy

// SampledColumn is what a database says of a column of which values are read: what
// speaks for and against it holding numbers of people or cards.
type SampledColumn struct {
	// ID is what the database knows the column by for as long as it is there, whatever
	// it and its table are called; empty where nothing is.
	ID string
	// Parts are the IDs of columns whose values it returns too, such as those of
	// partitions.
	Parts     []string
	Name      string
	Type      string // the database's name for it, such as "bigint"
	Sequence  bool   // the database numbers it: an identity, a default by a sequence
	Key       bool   // it is, or belongs to, a primary key or a unique one
	Reference bool   // it refers to another table's key
}
