package doctor_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/gateway/doctor"
	"github.com/sallyport/sallyport/secrets"
)

// A gateway that has never run has no data directory, which is worth a warning.
func Example() {
	dir, err := os.MkdirTemp("", "doctor-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, []byte("data_dir: data\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	cfg, err := config.Load(file, config.Options{Secrets: secrets.Default()})
	if err != nil {
		log.Fatal(err)
	}
	e := &doctor.Examination{Config: cfg, Machine: doctor.This{}, Offline: true}
	for _, f := range e.Run(context.Background()) {
		if f.Check == "data_dir" {
			fmt.Printf("%s: %s: %s\n", f.Level, filepath.Base(f.About), f.Text)
		}
	}
	// Output: warning: data: it is not there
}
