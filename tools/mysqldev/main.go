// Command mysqldev is a server of MySQL's protocol for tests: the one of
// github.com/dolthub/go-mysql-server, which proves people by caching_sha2_password as
// MySQL 8 does.
//
//	mysqldev -cert FILE -key FILE   # prints its address, and ends with its standard input
//
// Its users are sha2 (caching_sha2_password), native (mysql_native_password) and open, which
// has no password; the others' is "secret". Its database is shop, with a table people.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
)

func main() {
	cert := flag.String("cert", "", "a file with the server's certificate")
	key := flag.String("key", "", "a file with the certificate's key")
	flag.Parse()
	if err := run(*cert, *key); err != nil {
		log.Fatal(err)
	}
}

func run(cert, key string) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	provider := memory.NewDBProvider(memory.NewDatabase("shop"))
	engine := sqle.NewDefault(provider)
	session := sql.NewBaseSessionWithClientServer("", sql.Client{User: "root", Address: "localhost"}, 1)
	ctx := sql.NewContext(context.Background(), sql.WithSession(memory.NewSession(session, provider)))
	ctx.SetCurrentDatabase("shop")
	accounts := engine.Analyzer.Catalog.MySQLDb
	accounts.SetPersister(&mysql_db.NoopPersister{})
	accounts.AddRootAccount()
	for _, text := range []string{
		"CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(40), email VARCHAR(80))",
		"INSERT INTO people VALUES (1, 'Jane Doe', 'jane@example.com'), (2, 'John Doe', NULL)",
		"CREATE USER sha2@'%' IDENTIFIED WITH caching_sha2_password BY 'secret'",
		"CREATE USER native@'%' IDENTIFIED WITH mysql_native_password BY 'secret'",
		"CREATE USER open@'%'",
		"GRANT ALL ON *.* TO sha2@'%'", "GRANT ALL ON *.* TO native@'%'", "GRANT ALL ON *.* TO open@'%'",
	} {
		_, rows, _, err := engine.Query(ctx, text)
		if err == nil {
			_, err = sql.RowIterToRows(ctx, rows)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	s, err := server.NewServer(server.Config{
		Listener: ln, Version: "8.0.36", TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	}, engine, sql.NewContext, memory.NewSessionBuilder(provider), nil)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			log.Print(err)
		}
	}()
	return s.Start()
}
