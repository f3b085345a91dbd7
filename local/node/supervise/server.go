package supervise

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast.local/node/plan"
)

// bringUpServer makes the node that is a whole cluster, or the first of several.
func bringUpServer(ctx context.Context, options plan.Options, running *processes) error {
	started := time.Now()
	node, err := prepare(ctx, options)
	if err != nil {
		return err
	}
	if err := writeCredentials(node); err != nil {
		return err
	}
	if err := running.startAll(node.Etcd(), node.Containerd()); err != nil {
		return err
	}
	// An API server that does not find etcd at its first try waits a second before the next one.
	if err := waitForSocket(ctx, "etcd", plan.EtcdSocket); err != nil {
		return err
	}
	if err := running.start(node.APIServer()); err != nil {
		return err
	}
	api, err := openCluster(plan.Kubeconfig)
	if err != nil {
		return err
	}
	group, waiting := errgroup.WithContext(ctx)
	group.Go(func() error { return api.waitForAPI(waiting) })
	group.Go(func() error { return awaitImages(waiting) })
	if err := group.Wait(); err != nil {
		return err
	}
	say("the API server is ready (%s)", since(started))
	if err := api.markNotReady(ctx, node.Name); err != nil {
		return err
	}
	if err := running.startAll(node.ControllerManager(), node.Kubelet(), node.Proxy(), node.Scheduler()); err != nil {
		return err
	}
	api.followPeers(ctx, node.Name)
	api.approveServing(ctx)
	return becomeReady(ctx, api, node, started)
}

// becomeReady applies the manifests and waits for what they and the components make.
func becomeReady(ctx context.Context, api *cluster, node plan.Node, started time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := awaitNode(ctx, api, node, started); err != nil {
			return err
		}
		return api.markServer(ctx, node.Name)
	})
	group.Go(func() error {
		manifests, err := allManifests(node.Disabled)
		if err != nil {
			return err
		}
		if err := api.applyManifests(ctx, manifests); err != nil {
			return err
		}
		say("the manifests are applied (%s)", since(started))
		return nil
	})
	if !node.IsDisabled("coredns") {
		group.Go(func() error {
			if err := api.waitForDNS(ctx, node.Name, started); err != nil {
				return err
			}
			say("CoreDNS is ready (%s)", since(started))
			return nil
		})
	}
	return group.Wait()
}

// allManifests are the node's own and, after them, the user's.
func allManifests(disabled []string) ([]manifest, error) {
	baked, err := loadManifests(plan.BakedManifests, disabled)
	if err != nil {
		return nil, err
	}
	users, err := loadManifests(plan.UserManifests, disabled)
	return append(baked, users...), err
}
