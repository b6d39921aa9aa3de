"""What a raw item is: readers, preparation, augmentation and views of each modality."""
