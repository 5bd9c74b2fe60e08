// Two cores run a lab with guests; two labs at once would be measured instead of tested.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
