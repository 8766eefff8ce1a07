package wire

import "strings"

// Capabilities are what a side can, or what both have agreed on. The bits from 32
// on are MariaDB's own.
type Capabilities uint64

// Capabilities.
const (
	LongPassword     Capabilities = 1 << 0 // MariaDB: not set when bits from 32 on are said
	FoundRows        Capabilities = 1 << 1
	LongFlag         Capabilities = 1 << 2
	ConnectWithDB    Capabilities = 1 << 3
	NoSchema         Capabilities = 1 << 4
	Compress         Capabilities = 1 << 5
	ODBC             Capabilities = 1 << 6
	LocalFiles       Capabilities = 1 << 7
	IgnoreSpace      Capabilities = 1 << 8
	Protocol41       Capabilities = 1 << 9
	Interactive      Capabilities = 1 << 10
	TLS              Capabilities = 1 << 11
	IgnoreSIGPIPE    Capabilities = 1 << 12
	Transactions     Capabilities = 1 << 13
	Reserved         Capabilities = 1 << 14
	SecureConnection Capabilities = 1 << 15
	MultiStatements  Capabilities = 1 << 16
	MultiResults     Capabilities = 1 << 17
	PSMultiResults   Capabilities = 1 << 18
	PluginAuth       Capabilities = 1 << 19
	ConnectAttrs     Capabilities = 1 << 20
	PluginAuthLength Capabilities = 1 << 21
	ExpiredPasswords Capabilities = 1 << 22
	SessionTrack     Capabilities = 1 << 23
	DeprecateEOF     Capabilities = 1 << 24
	OptionalMetadata Capabilities = 1 << 25
	Zstd             Capabilities = 1 << 26
	QueryAttributes  Capabilities = 1 << 27
	MultiFactor      Capabilities = 1 << 28
	CapabilityExt    Capabilities = 1 << 29
	VerifyCert       Capabilities = 1 << 30
	RememberOptions  Capabilities = 1 << 31

	Progress         Capabilities = 1 << 32
	MultiCommands    Capabilities = 1 << 33
	BulkOperations   Capabilities = 1 << 34
	ExtendedMetadata Capabilities = 1 << 35
	CacheMetadata    Capabilities = 1 << 36
	BulkUnitResults  Capabilities = 1 << 37
)

// Has reports whether all of what are in c.
func (c Capabilities) Has(what Capabilities) bool { return c&what == what }

var capabilityNames = [...]string{
	"LONG_PASSWORD", "FOUND_ROWS", "LONG_FLAG", "CONNECT_WITH_DB", "NO_SCHEMA", "COMPRESS", "ODBC", "LOCAL_FILES", "IGNORE_SPACE", "PROTOCOL_41",
	"INTERACTIVE", "SSL", "IGNORE_SIGPIPE", "TRANSACTIONS", "RESERVED", "SECURE_CONNECTION", "MULTI_STATEMENTS", "MULTI_RESULTS", "PS_MULTI_RESULTS",
	"PLUGIN_AUTH", "CONNECT_ATTRS", "PLUGIN_AUTH_LENENC_CLIENT_DATA", "CAN_HANDLE_EXPIRED_PASSWORDS", "SESSION_TRACK", "DEPRECATE_EOF",
	"OPTIONAL_RESULTSET_METADATA", "ZSTD_COMPRESSION_ALGORITHM", "QUERY_ATTRIBUTES", "MULTI_FACTOR_AUTHENTICATION", "CAPABILITY_EXTENSION",
	"SSL_VERIFY_SERVER_CERT", "REMEMBER_OPTIONS", "PROGRESS", "COM_MULTI", "STMT_BULK_OPERATIONS", "EXTENDED_METADATA", "CACHE_METADATA",
	"BULK_UNIT_RESULTS",
}

// String lists the names.
func (c Capabilities) String() string {
	var names []string
	for i, name := range capabilityNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
