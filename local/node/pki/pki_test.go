package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, folder string) *Authority {
	t.Helper()
	authority, err := OpenAuthority(folder, "ca")
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func issue(t *testing.T, authority *Authority, leaf Leaf) *x509.Certificate {
	t.Helper()
	pair, err := authority.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(pair.Certificate)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func verify(authority *Authority, certificate *x509.Certificate, name string, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

func TestAServersCertificateIsGoodForItsNamesAndAddresses(t *testing.T) {
	authority := open(t, t.TempDir())
	server := issue(t, authority, Leaf{File: "s", CommonName: "s", Names: []string{"n1"}, Addresses: []net.IP{net.IPv4(10, 0, 0, 1)}})
	for _, name := range []string{"n1", "10.0.0.1"} {
		if err := verify(authority, server, name, x509.ExtKeyUsageServerAuth); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if verify(authority, server, "10.0.0.2", x509.ExtKeyUsageServerAuth) == nil {
		t.Error("it is good for another address")
	}
	if verify(authority, server, "", x509.ExtKeyUsageClientAuth) == nil {
		t.Error("a server's certificate can sign in as a client")
	}
	if left := time.Until(server.NotAfter); left < 9*365*24*time.Hour {
		t.Errorf("it ends in %s", left)
	}
}

func TestAServerShowsItsAuthorityWhereAsked(t *testing.T) {
	authority := open(t, t.TempDir())
	for _, asked := range []bool{true, false} {
		pair, err := authority.Issue(Leaf{File: "s", CommonName: "s", Names: []string{"n1"}, WithAuthority: asked})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasSuffix(pair.Certificate, authority.PEM()) != asked {
			t.Errorf("asked for %v, got %s", asked, pair.Certificate)
		}
		kept, err := os.ReadFile(authority.path("s", "crt"))
		if err != nil || !bytes.Equal(kept, pair.Certificate) {
			t.Errorf("the file has %s, %v", kept, err)
		}
	}
}

func TestTheAuthorityOutlivesARestart(t *testing.T) {
	folder := t.TempDir()
	client := issue(t, open(t, folder), Leaf{File: "c", CommonName: "admin", Organizations: []string{"system:masters"}})
	if err := verify(open(t, folder), client, "", x509.ExtKeyUsageClientAuth); err != nil {
		t.Errorf("a copied kubeconfig would no longer work: %v", err)
	}
}

func TestAFirstStartThatWasInterruptedIsTakenUp(t *testing.T) {
	folder := t.TempDir()
	if _, err := OpenKey(filepath.Join(folder, "ca.key")); err != nil {
		t.Fatal(err)
	}
	open(t, folder)
}

func TestALostKeyIsNotReplacedInSilence(t *testing.T) {
	folder := t.TempDir()
	open(t, folder)
	if err := os.Remove(filepath.Join(folder, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(folder, "ca"); err == nil || !strings.Contains(err.Error(), "ca.key") {
		t.Errorf("got %v", err)
	}
}

func TestAForeignKeyIsRefused(t *testing.T) {
	folder := t.TempDir()
	open(t, folder)
	if err := os.Remove(filepath.Join(folder, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(filepath.Join(folder, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(folder, "ca"); err == nil {
		t.Error("no error")
	}
}

func TestKeysAreForTheirOwnerOnly(t *testing.T) {
	folder := t.TempDir()
	issue(t, open(t, folder), Leaf{File: "c", CommonName: "c"})
	for _, name := range []string{"ca.key", "c.key"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", name, info.Mode())
		}
	}
}
