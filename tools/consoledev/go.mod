// What builds the console's files needs a bundler that the product does not, so it is a
// module of its own.
module github.com/sallyport/sallyport/tools/consoledev

go 1.26.0

require github.com/evanw/esbuild v0.28.2

require golang.org/x/sys v0.0.0-20220715151400-c0bba94af5f8 // indirect
