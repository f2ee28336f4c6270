"""The steps: what runs inside the containers. They know the contract (tlbatch.tasks, tlbatch.store), not Kubernetes."""
