# The commands of the project. What is longer than a line stands in scripts/.

.PHONY: model quality dist build test test-heavy quick clients demo bench bench-quick fuzz fmt regress

build: ## the gateway and its command line, as bin/sallyport
	go build -trimpath -tags timetzdata -o bin/sallyport ./cmd/sallyport

dist: ## a release of the commit that is checked out, in bin/dist: docs/release.md
	@go run ./internal/dist $(ARGS)

test: ## everything: installs what is missing where it may, then every check there is
	@scripts/test

quick: ## the tests alone, with what is installed
	go test ./...

test-heavy: ## the suites of others through the default configuration; an hour or two
	@scripts/test-heavy

clients: ## Ansible, asyncssh, Dropbear, Node's ssh2 and a GiB each way by ssh, directly and through the gateway
	@scripts/clients

demo: ## a gateway before a private PostgreSQL and MariaDB, with lines to try
	@scripts/demo

bench: ## every benchmark
	@go run ./internal/bench
	go test -run '^$$' -bench . -benchmem ./...

bench-quick: ## the comparison with peers alone, in less than five minutes
	@go run ./internal/bench -t 1 -rounds 3 -clients 1,16 -bulk 16 -connections=false

fuzz: ## every fuzz target for FUZZTIME each (default 1m)
	@FUZZTIME=$${FUZZTIME:-1m} scripts/fuzz

fmt: ## formats every file
	go run mvdan.cc/gofumpt@v0.9.2 -l -w .

regress: ## PostgreSQL's own regression suite, directly and through the gateway
	@scripts/regress

model: ## trains the model of names in prose from the lists and sentences in the repository
	@go run ./detect/internal/prose/train

quality: ## measures the detection on text of other hands: the half that it is tuned with, or ARGS=-unseen
	@scripts/quality $(ARGS)
