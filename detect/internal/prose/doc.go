// Package prose finds the names of people, places and organisations, and street
// addresses, in text that people write.
//
// A gazetteer of names and of common words, kept as Bloom filters, and the words
// around decide together: an averaged perceptron tags the words of a line from
// left to right. The model is trained by the program in train and embedded; the
// features of both are the ones in features.go.
package prose
