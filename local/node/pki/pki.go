// Package pki is the cluster's certificate authorities and what they sign.
//
// Only the authorities and the key of the service accounts are kept. All other certificates are made anew at each
// start: it takes milliseconds, and they are right for the addresses that the node has now, with nothing to compare.
// A kubeconfig that somebody copied earlier stays good, since its certificate was signed by the same authority.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"holdfast.local/node/files"
)

// validity is long enough that no local cluster sees its end; backdated is for a clock that was set back since.
const (
	validity  = 10 * 365 * 24 * time.Hour
	backdated = time.Hour
)

// Authority signs certificates, and writes them to its folder.
type Authority struct {
	folder      string
	certificate *x509.Certificate
	pem         []byte
	key         *ecdsa.PrivateKey
}

// Leaf is a certificate to be signed: for a server if it has names or addresses, else for a client.
type Leaf struct {
	File          string
	CommonName    string
	Organizations []string
	Names         []string
	Addresses     []net.IP
	// WithAuthority has the server show its authority too: one that joins knows it by its hash alone.
	WithAuthority bool
}

// Pair is a certificate and its key, in PEM.
type Pair struct{ Certificate, Key []byte }

// OpenAuthority reads the authority of this name from the folder, or makes it.
func OpenAuthority(folder, name string) (*Authority, error) {
	a := &Authority{folder: folder}
	certificateFile, keyFile := a.path(name, "crt"), a.path(name, "key")
	data, err := os.ReadFile(certificateFile)
	if errors.Is(err, fs.ErrNotExist) {
		// The key is written first: a certificate without a key cannot be the trace of an interrupted first start.
		return a, a.create(name)
	}
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	if a.key, err = readKey(keyFile); err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", name, err)
	}
	if err := a.use(data); err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", certificateFile, err)
	}
	return a, nil
}

func (a *Authority) create(name string) error {
	key, err := OpenKey(a.path(name, "key"))
	if err != nil {
		return err
	}
	a.key = key
	template := newTemplate(pkix.Name{CommonName: "holdfast-" + name})
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make the certificate authority %s: %w", name, err)
	}
	data := EncodeCertificate(der)
	if err := a.use(data); err != nil {
		return err
	}
	return files.Write(a.path(name, "crt"), data, 0o644)
}

// use takes the certificate over, if it belongs to the key.
func (a *Authority) use(data []byte) error {
	block, _ := pem.Decode(data)
	if block == nil {
		return errors.New("not a PEM file")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	if !a.key.PublicKey.Equal(certificate.PublicKey) {
		return errors.New("the certificate does not belong to the key beside it")
	}
	a.certificate, a.pem = certificate, data
	return nil
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return a.pem }

// Issue signs a certificate for a new key, and writes both.
func (a *Authority) Issue(leaf Leaf) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make the key of %s: %w", leaf.File, err)
	}
	template := newTemplate(pkix.Name{CommonName: leaf.CommonName, Organization: leaf.Organizations})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(leaf.Names)+len(leaf.Addresses) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.DNSNames, template.IPAddresses = leaf.Names, leaf.Addresses
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("sign the certificate %s: %w", leaf.File, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode the key of %s: %w", leaf.File, err)
	}
	pair := Pair{EncodeCertificate(der), keyPEM}
	if leaf.WithAuthority {
		pair.Certificate = append(pair.Certificate, a.pem...)
	}
	return pair, errors.Join(
		files.Write(a.path(leaf.File, "key"), pair.Key, 0o600),
		files.Write(a.path(leaf.File, "crt"), pair.Certificate, 0o644),
	)
}

func (a *Authority) path(name, extension string) string {
	return filepath.Join(a.folder, name+"."+extension)
}

// OpenKey reads a private key, or makes it.
func OpenKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("make the key %s: %w", path, err)
	}
	data, err := encodeKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key %s: %w", path, err)
	}
	return key, files.Write(path, data, 0o600)
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", path)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", path, err)
	}
	return key, nil
}

func newTemplate(subject pkix.Name) *x509.Certificate {
	now := time.Now()
	// 2^62 serial numbers: two certificates of one authority do not meet.
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		panic(fmt.Sprintf("the kernel gives no random numbers: %v", err)) // crypto/rand never returns one since Go 1.24
	}
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      subject,
		NotBefore:    now.Add(-backdated),
		NotAfter:     now.Add(validity),
	}
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return encode("EC PRIVATE KEY", der), err
}

// EncodeCertificate is a certificate as the PEM file that an authority writes: its hash is known to those who join.
func EncodeCertificate(der []byte) []byte { return encode("CERTIFICATE", der) }

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
