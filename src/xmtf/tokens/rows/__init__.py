"""From token files to packed rows: splits, fitting, packing, blending, batches."""
