// Package reliability proves the guarantees of package jobs by crash, power cut, fault and nonsense.
// docs/reliability.md says what each check does and how to run them.
package reliability
