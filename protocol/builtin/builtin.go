// Package builtin lists the protocols of this module.
package builtin

import (
	"github.com/sallyport/sallyport/protocol"
	aws "github.com/sallyport/sallyport/protocol/aws/kit"
	kubernetes "github.com/sallyport/sallyport/protocol/kubernetes/kit"
	mysql "github.com/sallyport/sallyport/protocol/mysql/kit"
	postgres "github.com/sallyport/sallyport/protocol/postgres/kit"
	ssh "github.com/sallyport/sallyport/protocol/ssh/kit"
	tcp "github.com/sallyport/sallyport/protocol/tcp/kit"
	web "github.com/sallyport/sallyport/protocol/web/kit"
)

// All returns every protocol of this module, in a slice of its own.
func All() []protocol.Protocol {
	return []protocol.Protocol{postgres.Protocol(), mysql.Protocol(), ssh.Protocol(), web.Protocol(), kubernetes.Protocol(), aws.Protocol(), tcp.Protocol()}
}
