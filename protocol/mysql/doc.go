// Package mysql speaks the protocol of MySQL and MariaDB on both sides of a
// gateway: [Handler] is a proxy.Handler whose clients are mysql, mariadb, drivers
// and tools, and whose resources are such servers.
//
// # How a session flows
//
// A client asks for one thing at a time, and the server answers before it reads
// on. Two goroutines serve a session. up reads the client, asks about each command
// and sends it on; down reads the server and knows by the one answer that is owed
// what each packet is. What a client sends meanwhile waits until the answer is
// complete.
//
// Packets are found without being decoded, and runs of them are forwarded as they
// came, with their numbers. Only what somebody asked for is looked at: statements
// for the chain's Ask, rows for its Flow, errors and reported settings for its Tell.
//
// # How a refusal keeps both sides equal
//
// An error of one statement changes nothing of the session that it is in: so a
// refused command does not reach the server, and the gateway answers in its place.
//
// # What both sides agree on
//
// A server speaks first, before it is known who asks for what. So a listener says what
// its resource's server can, when it knows that, and what the gateway can otherwise; what
// is agreed on with the server is never more than the client has
// agreed to. Compression is agreed on with nobody.
package mysql
