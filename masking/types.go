package masking

import "github.com/sallyport/sallyport/detect"

// taintedValue is the type of values of which it is only known that they may
// derive from something sensitive.
const taintedValue detect.Type = "MASKED"

// Column is the type of the values of columns that a rule names and whose names
// say nothing about them.
const Column detect.Type = "COLUMN"
