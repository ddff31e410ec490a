"""What figures are drawn with: colours and sizes, fonts, looks of models, blocks of text."""
