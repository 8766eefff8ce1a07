package postgres_test

import (
	"fmt"

	"github.com/sallyport/sallyport/protocol/postgres"
)

// A resource lets its clients choose one more setting at start-up than every client may choose.
func ExampleDefaultStartupParameters() {
	settings := postgres.Settings{StartupParameters: append(postgres.DefaultStartupParameters(), "app.tenant")}
	fmt.Println(settings.StartupParameters[0], settings.StartupParameters[len(settings.StartupParameters)-1])
	// Output:
	// application_name app.tenant
}
