/** How an Application is named, and how Argo CD is told to look at it. */
import type { ObjectRef } from '#kit/kube'
import { ARGOCD_NAMESPACE } from './gitops.ts'

/** Argo CD compares at once, and takes the annotation away when it has. */
export const REFRESH = 'argocd.argoproj.io/refresh'

/** Names an Application of the platform. */
export function refOfApplication(name: string): ObjectRef {
  return { apiVersion: 'argoproj.io/v1alpha1', kind: 'Application', namespace: ARGOCD_NAMESPACE, name }
}
