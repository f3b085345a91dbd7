package supervise

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
)

// followPeers keeps a route to the pods of every other node, for the node's whole life: an address may change with a
// restart. All nodes share one network, so that the next hop is the node itself.
func (c *cluster) followPeers(ctx context.Context, self string) {
	factory := informers.NewSharedInformerFactory(c.typed, 0)
	nodes := factory.Core().V1().Nodes()
	var routes map[string]string
	reconcile := func(ctx context.Context) error {
		all, err := nodes.Lister().List(labels.Everything())
		if err != nil {
			return fmt.Errorf("list the nodes: %w", err)
		}
		wanted := peerRoutes(self, all)
		if err := setRoutes(ctx, routes, wanted); err != nil {
			return err
		}
		routes = wanted
		return nil
	}
	follow(ctx, reconcile, nodes.Informer())
}

// peerRoutes are the pod ranges of the other nodes, each with the address of its node.
func peerRoutes(self string, nodes []*corev1.Node) map[string]string {
	routes := map[string]string{}
	for _, node := range nodes {
		if node.Name == self || node.Spec.PodCIDR == "" {
			continue
		}
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				routes[node.Spec.PodCIDR] = address.Address
				break
			}
		}
	}
	return routes
}

// setRoutes changes the kernel's routes from the old ones to the wanted ones. What is beyond all of them stays black: see
// keepPacketsIn.
func setRoutes(ctx context.Context, old, wanted map[string]string) error {
	if maps.Equal(old, wanted) {
		return nil
	}
	for pods := range old {
		if _, still := wanted[pods]; still {
			continue
		}
		if err := run(ctx, "ip", "route", "del", pods); err != nil {
			say("a route to the pods of a node that is gone stays: %v", err)
		}
	}
	for pods, node := range wanted {
		if err := run(ctx, "ip", "route", "replace", pods, "via", node); err != nil {
			return fmt.Errorf("reach the pods of another node: %w", err)
		}
	}
	say("routes to the pods of other nodes: %v", wanted)
	return nil
}
