package supervise

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
)

// approveServing approves the certificates that other nodes' kubelets serve with, for the node's whole life. Upstream
// approves those that they sign in with, and leaves these to whoever knows the machines.
func (c *cluster) approveServing(ctx context.Context) {
	factory := informers.NewSharedInformerFactory(c.typed, 0)
	nodes, requests := factory.Core().V1().Nodes(), factory.Certificates().V1().CertificateSigningRequests()
	reconcile := func(ctx context.Context) error {
		all, err := requests.Lister().List(labels.Everything())
		if err != nil {
			return fmt.Errorf("list the certificate requests: %w", err)
		}
		var failed []error
		for _, request := range all {
			if request.Spec.SignerName != certificatesv1.KubeletServingSignerName || isDecided(request) {
				continue
			}
			node, _ := nodes.Lister().Get(nodeOf(request)) // nil where there is none
			if problem := servingProblem(request, node); problem != "" {
				say("the certificate request %s of %s waits: %s", request.Name, request.Spec.Username, problem)
				continue
			}
			failed = append(failed, c.approve(ctx, request))
		}
		return errors.Join(failed...)
	}
	// A node's address may reach the API after the request for it: nodes are looked at too.
	follow(ctx, reconcile, nodes.Informer(), requests.Informer())
}

func isDecided(request *certificatesv1.CertificateSigningRequest) bool {
	return slices.ContainsFunc(request.Status.Conditions, func(condition certificatesv1.CertificateSigningRequestCondition) bool {
		return condition.Type == certificatesv1.CertificateApproved || condition.Type == certificatesv1.CertificateDenied
	})
}

const nodeUser = "system:node:"

// nodeOf is the node that asks, or nothing.
func nodeOf(request *certificatesv1.CertificateSigningRequest) string {
	user := request.Spec.Username
	if len(user) <= len(nodeUser) || user[:len(nodeUser)] != nodeUser {
		return ""
	}
	return user[len(nodeUser):]
}

// servingProblem says why a node may not have the certificate that it asks for: it may have one of its own name and
// addresses, and of nothing else. The signer checks the rest: that it is for a server, of its own user.
func servingProblem(request *certificatesv1.CertificateSigningRequest, node *corev1.Node) string {
	if node == nil {
		return "no node asks"
	}
	block, _ := pem.Decode(request.Spec.Request)
	if block == nil {
		return "it is not a PEM file"
	}
	asked, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err.Error()
	}
	for _, name := range asked.DNSNames {
		if name != node.Name {
			return fmt.Sprintf("%s is not the name of %s", name, node.Name)
		}
	}
	for _, ip := range asked.IPAddresses {
		if !hasAddress(node, ip) {
			return fmt.Sprintf("%s is not an address of %s", ip, node.Name)
		}
	}
	return ""
}

func hasAddress(node *corev1.Node, ip net.IP) bool {
	return slices.ContainsFunc(node.Status.Addresses, func(address corev1.NodeAddress) bool {
		return address.Type == corev1.NodeInternalIP && ip.Equal(net.ParseIP(address.Address))
	})
}

func (c *cluster) approve(ctx context.Context, request *certificatesv1.CertificateSigningRequest) error {
	approved := request.DeepCopy()
	approved.Status.Conditions = append(approved.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue,
		Reason: "OwnAddress", Message: "the node asks for its own name and address",
	})
	_, err := c.typed.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, request.Name, approved, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) { // else news of it are on their way
		return fmt.Errorf("approve the certificate request %s: %w", request.Name, err)
	}
	return nil
}
